package main

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"

	"github.com/alecthomas/kong"
)

// settingsFlags are the flags of a command's configuration. A command's struct embeds it,
// filled by newSettingsFlags before kong parses.
type settingsFlags struct {
	// Plugins holds one pointer to a struct with a field for each flag, made from the
	// table: kong reads flags from struct types only.
	kong.Plugins
}

// newSettingsFlags makes flags for the named settings, or for all, and --config.
func newSettingsFlags(names ...string) settingsFlags {
	fields := []reflect.StructField{flagField(0, reflect.TypeFor[[]string](), configFlag, "FILE",
		"The configuration file. The default is souk.toml in the data directory, if there is one.")}
	for _, s := range settings {
		if len(names) > 0 && !slices.Contains(names, s.name) {
			continue
		}
		kind, help := reflect.TypeFor[[]string](), s.help
		if s.bool {
			kind = reflect.TypeFor[switchFlag]()
		}
		if s.secret {
			help += " Better in the file or in " + s.env() + ": others on the machine can see flags."
		}
		if s.list {
			help += " May be repeated."
		}
		if s.def != "" && !s.bool {
			help += fmt.Sprintf(" (default: %s)", s.def)
		}
		fields = append(fields, flagField(len(fields), kind, s.flag(), s.hint, help))
	}
	return settingsFlags{kong.Plugins{reflect.New(reflect.StructOf(fields)).Interface()}}
}

func flagField(i int, kind reflect.Type, name, hint, help string) reflect.StructField {
	return reflect.StructField{
		Name: "Flag" + strconv.Itoa(i),
		Type: kind,
		Tag: reflect.StructTag(fmt.Sprintf(`name:%q placeholder:%q help:%q sep:"none" group:"Settings, also in souk.toml and the environment"`,
			name, hint, help)),
	}
}

// values returns the values of the flags that were given, in the form of
// configSources.Flags.
func (f settingsFlags) values() map[string][]string {
	given := map[string][]string{}
	for _, plugin := range f.Plugins {
		flags := reflect.ValueOf(plugin).Elem()
		for i := range flags.NumField() {
			name := flags.Type().Field(i).Tag.Get("name")
			for j := range flags.Field(i).Len() {
				given[name] = append(given[name], flags.Field(i).Index(j).String())
			}
		}
	}
	return given
}

// switchFlag is a flag that needs no value: --stripe-live means --stripe-live=true. What
// else is written is checked where all values are.
type switchFlag []string

func (*switchFlag) IsBool() bool { return true }

// Decode is called by kong.
func (f *switchFlag) Decode(ctx *kong.DecodeContext) error {
	value := "true"
	if ctx.Scan.Peek().Type == kong.FlagValueToken {
		value = ctx.Scan.Pop().String()
	}
	*f = append(*f, value)
	return nil
}
