package monitor

// Media is what the cache of pictures has done since the start; Files and Bytes are of now.
type Media struct {
	Files                       int
	Bytes                       int64
	Hits, Made, Failed, Evicted int64
}

// WatchMedia shows the figures of the cache of pictures.
func (m *Monitor) WatchMedia(stats func() Media) {
	m.watch(func(emit emitter) {
		s := stats()
		emit(mediaFiles, float64(s.Files))
		emit(mediaBytes, float64(s.Bytes))
		emit(mediaHits, float64(s.Hits))
		emit(mediaMade, float64(s.Made))
		emit(mediaFailed, float64(s.Failed))
		emit(mediaEvicted, float64(s.Evicted))
	}, mediaFiles, mediaBytes, mediaHits, mediaMade, mediaFailed, mediaEvicted)
}

var (
	mediaFiles   = gauge("souk_media_cache_files", "Pictures in a width and format that are on disk.")
	mediaBytes   = gauge("souk_media_cache_bytes", "Size of the pictures in the cache.")
	mediaHits    = counter("souk_media_cache_hits_total", "Pictures that were on disk when they were asked for.")
	mediaMade    = counter("souk_media_made_total", "Pictures made in a width and format.")
	mediaFailed  = counter("souk_media_failed_total", "Pictures that could not be made.")
	mediaEvicted = counter("souk_media_cache_evictions_total", "Pictures removed to make room for others.")
)
