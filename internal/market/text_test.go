package market

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSlug(t *testing.T) {
	for text, want := range map[string]string{
		"LangChain Chroma": "langchain-chroma", "  a  b  ": "a-b", "a--b": "a-b", "-a-": "a", "@scope/name": "scope-name", "v1.2.3": "v1-2-3",
		"": "", "---": "", "日本語": "", "日本 go": "go", "Café": "caf", "a\x00b": "a-b", "\xff": "", "A": "a", "Kelvin": "kelvin",
		strings.Repeat("a", 200): strings.Repeat("a", 80), strings.Repeat("a", 78) + " b": strings.Repeat("a", 78) + "-b",
		strings.Repeat("a", 79) + " b": strings.Repeat("a", 79), strings.Repeat("a", 78) + " bc": strings.Repeat("a", 78) + "-b",
	} {
		if got := Slug(text); got != want {
			t.Errorf("the slug of %q is %q, want %q", text, got, want)
		}
	}
}

func FuzzSlug(f *testing.F) {
	f.Add("LangChain Chroma")
	f.Add("  --@x/İ\xff")
	f.Add(strings.Repeat("a", 79) + " b")
	f.Add(strings.Repeat("a-", 60))
	form := regexp.MustCompile(`^([a-z0-9]+(-[a-z0-9]+)*)?$`)
	f.Fuzz(func(t *testing.T, s string) {
		got := Slug(s)
		if !form.MatchString(got) || len(got) > MaxSlug || Slug(got) != got {
			t.Errorf("the slug of %q is %q", s, got)
		}
		if got == "" && strings.ContainsAny(s, "abcdefghijklmnopqrstuvwxyz0123456789") {
			t.Errorf("%q has no slug", s)
		}
	})
}

func TestCleanText(t *testing.T) {
	for text, want := range map[string]string{
		"plain": "plain", "  a \t\r\n b ": "a b", "": "", " ": "", "a\x00b\x1bc": "abc", "a\xffb": "ab", "\xed\xa0\x80": "",
		"a\u00a0b\u2028c": "a b c", "日本 語": "日本 語", "naïve": "naïve",
		// What hides instructions: zero width, bidirectional marks, tags, variation
		// selectors, fillers.
		"a\u200bb\u200d\u2060\ufeffc": "abc", "a\u202eb\u2066c": "abc",
		"hi\U000e0069\U000e0067\U000e006e": "hi", "hi\ufe00\ufe0f\U000e0100\U000e01ef": "hi", "a\u3164b\u115fc\u034fd": "abcd", "a\u00adb": "ab",
		"\ue000x": "x", "\ufffd": "",
	} {
		if got := CleanText(text); got != want {
			t.Errorf("%q is cleaned to %q, want %q", text, got, want)
		}
	}
}

func FuzzCleanText(f *testing.F) {
	f.Add("  a \t b\u200b")
	f.Add("\xff\U000e0069 x")
	f.Fuzz(func(t *testing.T, s string) {
		got := CleanText(s)
		if CleanText(got) != got || len(got) > len(s) || !utf8.ValidString(got) || strings.TrimSpace(got) != got || strings.ContainsAny(got, "\n\r\t\x00") || strings.Contains(got, "  ") {
			t.Errorf("%q is cleaned to %q", s, got)
		}
	})
}

func TestNormalizeEmail(t *testing.T) {
	long := strings.Repeat("a", 64)
	for typed, want := range map[string]string{
		"ada@example.com": "ada@example.com", "  Ada@Example.COM\n": "Ada@example.com", "ada+x@example.com": "ada+x@example.com",
		"a.b@example.co.uk": "a.b@example.co.uk", "ada@localhost": "ada@localhost", "jürgen@bücher.example": "jürgen@bücher.example", "o'hara@example.com": "o'hara@example.com",
		long + "@example.com": long + "@example.com",
	} {
		if got, err := NormalizeEmail(typed); err != nil || got != want {
			t.Errorf("%q is %q, %v; want %q", typed, got, err, want)
		}
	}
	for _, typed := range []string{
		"", "ada", "@", "@example.com", "ada@", "ada@com", "ada@@example.com", "ada@example..com", "ada@.example.com", "ada@example.com.", ".ada@example.com", "ada.@example.com",
		"a..b@example.com", "ada lovelace@example.com", "ada@exa mple.com", "<ada@example.com>", "Ada <ada@example.com>", "a,b@example.com", "a\\b@example.com", `"a"@example.com`,
		"ada@-example.com", "ada@example-.com", "ada@exam_ple.com", "ada@[127.0.0.1]", "ada\r\nBcc: x@example.com", "ada@example.com\r\nBcc: x", "a\x00b@example.com", "a\xffb@example.com",
		"ada@ex\xffample.com", "a\u200bb@example.com", "a\u2028b@example.com", "a\u3164b@example.com", long + "a@example.com", "a@" + strings.Repeat("b", 64) + ".com",
		"a@" + strings.Repeat("b.", 130) + "com", long + "@" + strings.Repeat("Ⱥ", 20) + "." + strings.Repeat("Ⱥ", 20) + "." + strings.Repeat("Ⱥ", 20) + "." + strings.Repeat("Ⱥ", 20),
	} {
		if got, err := NormalizeEmail(typed); !Is(err, Invalid) {
			t.Errorf("%q is the address %q, %v", typed, got, err)
		} else if e := err.(*Error); e.Field != "email" {
			t.Errorf("%q: the error is about the field %q", typed, e.Field)
		}
	}
}

func FuzzNormalizeEmail(f *testing.F) {
	f.Add("  Ada@Example.COM ")
	f.Add("a@Ⱥ.ÌÏ")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := NormalizeEmail(s)
		if err != nil {
			return
		}
		again, err := NormalizeEmail(got)
		if err != nil || again != got || len(got) > 254 || !utf8.ValidString(got) || CleanText(got) != got || strings.ContainsAny(got, " \r\n,;<>") || strings.Count(got, "@") != 1 {
			t.Errorf("%q is %q, and that is %q, %v", s, got, again, err)
		}
		if EmailKey(got) != EmailKey(EmailKey(got)) {
			t.Errorf("the key of %q has another key", got)
		}
	})
}

func TestInstallCommands(t *testing.T) {
	for _, c := range []struct{ id, version, want string }{
		{"pypi:langchain-chroma", "1.1.0", "pip install langchain-chroma==1.1.0 | uv pip install langchain-chroma==1.1.0"},
		{"pypi:zope.interface", "", "pip install zope.interface | uv pip install zope.interface"},
		{"npm:@scope/name", "1.0.0-beta.1+x", "npm install @scope/name@1.0.0-beta.1+x"},
		{"npm:plain", "", "npm install plain"},
		{"conda:x", "1", ""}, {"pypi:", "1", ""}, {"pypi", "1", ""}, {"", "", ""},
		// What a shell would take for more than a name.
		{"pypi:x; rm -rf ~", "1", ""}, {"pypi:$(id)", "", ""}, {"pypi:x`id`", "", ""}, {"pypi:--index-url=evil", "", ""}, {"pypi:-r", "", ""},
		{"npm:../../etc", "", ""}, {"npm:@a/b/c", "", ""}, {"npm:~root", "", ""}, {"npm:x y", "", ""}, {"npm:x\ny", "", ""}, {"npm:@../x", "", ""},
		{"pypi:x", "1 && id", ""}, {"pypi:x", "1;id", ""}, {"pypi:x", "-1", ""}, {"pypi:x", "1!2", ""}, {"npm:x", "$HOME", ""}, {"npm:x", ">=1", ""},
	} {
		var lines []string
		for _, cmd := range InstallCommands(c.id, c.version) {
			lines = append(lines, cmd.Line)
			if !strings.HasPrefix(cmd.Line, cmd.Tool+" ") {
				t.Errorf("the tool %q isn't that of %q", cmd.Tool, cmd.Line)
			}
		}
		if got := strings.Join(lines, " | "); got != c.want {
			t.Errorf("installing %q in version %q: %q, want %q", c.id, c.version, got, c.want)
		}
	}
}

func TestRegistryPage(t *testing.T) {
	for id, want := range map[string]string{
		"pypi:x": "PyPI https://pypi.org/project/x/", "npm:@a/b": "npm https://www.npmjs.com/package/@a/b", "other:x": " ", "pypi:../x": " ", "npm:x?y": " ", "": " ",
	} {
		if name, url := RegistryPage(id); name+" "+url != want {
			t.Errorf("the page of %q is %q %q, want %q", id, name, url, want)
		}
	}
}

func TestSetupFile(t *testing.T) {
	a := Agent{Name: "Chroma <3", ExternalID: "pypi:chroma", Source: "pypi", Category: "tool", Release: Release{Version: "1.2"}}
	f, content := SetupFile(&a)
	g, again := SetupFile(&a)
	if f != g || string(content) != string(again) || f.Size != int64(len(content)) || !f.OnDemand || f.Name != "chroma-3-1.2.json" {
		t.Errorf("the file is %+v, then %+v", f, g)
	}
	if !strings.Contains(string(content), `"pip": "pip install chroma==1.2"`) || !strings.Contains(string(content), `Chroma <3`) {
		t.Errorf("the file says %s", content)
	}
	a.Summary = "changed"
	if h, _ := SetupFile(&a); h.SHA256 == f.SHA256 {
		t.Error("another listing has the same file")
	}
	if f, _ := SetupFile(&Agent{Name: "日本"}); f.Name != "agent.json" {
		t.Errorf("without a slug the file is called %q", f.Name)
	}
}
