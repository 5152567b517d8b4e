package catalog

import (
	"cmp"
	"slices"

	"github.com/souk-market/souk/internal/market"
	"github.com/souk-market/souk/store"
)

// maxReleases bounds the history of an agent.
const maxReleases = 200

// newestFirst orders versions as they are shown: by when they were released, and those of
// one moment by version and channel.
func newestFirst(a, b market.AgentRelease) int {
	return cmp.Or(b.Released.Compare(a.Released), market.CompareVersions(b.Version, a.Version), cmp.Compare(a.Channel, b.Channel))
}

// history returns an agent's recorded releases, the newest first.
func history(tx store.Reader, id market.AgentID) ([]market.AgentRelease, error) {
	var list []market.AgentRelease
	for row, err := range store.ReleasesOfAgent.Scan(tx, id, "") {
		if err != nil {
			return nil, err
		}
		list = append(list, row.Record)
	}
	slices.SortStableFunc(list, newestFirst)
	return list, nil
}

// sold is the version that is sold: the newest stable one that is live, by SemVer; where all
// of them were withdrawn the newest stable one that isn't; and where there is no stable one
// the newest of all in the same way.
func sold(list []market.AgentRelease) (best market.AgentRelease, ok bool) {
	for _, r := range list {
		if r.State != market.ReleaseLive && r.State != market.ReleaseSuperseded {
			continue
		}
		if !ok || sellsBefore(&r, &best) {
			best, ok = r, true
		}
	}
	return best, ok
}

func sellsBefore(a, b *market.AgentRelease) bool {
	if (a.Channel == "") == (b.Channel == "") && a.State != b.State {
		return a.State == market.ReleaseLive
	}
	return better(a, b)
}

func better(a, b *market.AgentRelease) bool {
	if (a.Channel == "") != (b.Channel == "") {
		return a.Channel == ""
	}
	return cmp.Or(market.CompareVersions(a.Version, b.Version), a.Released.Compare(b.Released)) > 0
}

// supersede makes superseded of the live releases that a newer live one of their channel
// follows. It returns the places of those that it changed.
func supersede(list []market.AgentRelease) (changed []int) {
	newest := map[string]int{}
	for i, r := range list {
		if at, ok := newest[r.Channel]; r.State == market.ReleaseLive && (!ok || better(&r, &list[at])) {
			newest[r.Channel] = i
		}
	}
	for i := range list {
		if r := &list[i]; r.State == market.ReleaseLive && newest[r.Channel] != i {
			r.State = market.ReleaseSuperseded
			changed = append(changed, i)
		}
	}
	return changed
}

// usualStates are the states of releases of which nothing else is said: live, those that a
// newer one of their channel follows superseded.
func usualStates(list []market.AgentRelease) []market.ReleaseState {
	usual := slices.Clone(list)
	for i := range usual {
		if usual[i].State == "" || usual[i].State == market.ReleaseSuperseded {
			usual[i].State = market.ReleaseLive
		}
	}
	supersede(usual)
	states := make([]market.ReleaseState, len(usual))
	for i := range usual {
		states[i] = usual[i].State
	}
	return states
}

// sell puts the version that is sold into an agent. One without a file is sold by the file
// that says how to install it.
func sell(a *market.Agent, list []market.AgentRelease) {
	r, ok := sold(list)
	if !ok {
		return
	}
	a.Release = r.Release
	if a.Release.File == (market.File{}) {
		a.Release.File, _ = market.SetupFile(a)
	}
}
