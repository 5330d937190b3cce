// Says what kubectl's YAML library makes of texts, for the tests of policies/src/yaml.
//
//	go run . ../../policies/tests/corpus/yaml
//
// reads cases.txt there (texts, each after a line "%% name") and writes expected.jsonl: one row per case, and as many
// again from a generator with a fixed seed.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

type row struct {
	Name  string `json:"name"`
	Yaml  string `json:"yaml"`
	Json  string `json:"json,omitempty"`
	Error string `json:"error,omitempty"`
	// Duplicate: the strict reading refuses it, the lenient one does not.
	Duplicate bool `json:"duplicate,omitempty"`
}

func judge(name, text string) row {
	out := row{Name: name, Yaml: text}
	read, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		out.Error = err.Error()
		return out
	}
	out.Json = string(read)
	_, err = yaml.YAMLToJSONStrict([]byte(text))
	out.Duplicate = err != nil
	return out
}

func cases(path string) ([]row, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, part := range strings.Split("\n"+string(content), "\n%% ")[1:] {
		name, text, _ := strings.Cut(part, "\n")
		rows = append(rows, judge(name, text))
	}
	return rows, nil
}

var scalars = []string{
	"a", "b c", "0644", "0o17", "0x1f", "0b11", "1_000", "-0x1", "+5", "08", "0", "-0", "1.5", ".5", "5.", "1e3", "1E-3", "1e400",
	"12345678901234567890", "123456789012345678901234567890", "-9223372036854775808", "9223372036854775808", "1.0", "-1.50",
	"y", "n", "Y", "yes", "No", "ON", "off", "True", "FALSE", "tRUE", "~", "null", "NULL", "nULL", "",
	"'y'", "\"12\"", "\"a\\nb\"", "'it''s'", "\"\\u00e9\\x41\"", "!!str 5", "!!int \"5\"", "!!float 3", "!!bool yes", "!custom x",
	"2026-11-20", "2026-11-20T10:00:00Z", "12:30", "1:2:3", "a: b", "a#b", "a #b", "a:b", "http://x:80/y", "${x}", "x-${y}-z",
	"$(HOME)", "@x", "`x", "%x", "&a x", "*a", "- x", "-x", "?x", "? x", "[a, b]", "{a: b}", "[a, {b: c}]", "{a, b}", "[]", "{}",
	"[a,]", "{a: 1,}", "{a: 1, a: 2}", "{\"a\":1}", "{a:1}", "[1,2 ,3]", "|\n  x\n  y\n", ">\n  x\n  y\n", "|-\n  x\n", "|+\n  x\n\n", "é", "日本", "1__0", "_1",
	"0.1e1", "1.e2", ".inf", "-.INF", ".nan", "+.inf", "0x", "0b2", "0o8", "1e", "e1", "--1", "<<", "=", "\"<<\"", "!!null ''", "! 5", "0777777777777777777777",
	"\"\\/\"", "\"a\tb\"", "a\tb", "'a\n\n  b'", "\"a\n  b\"", "a\n  b", "\"unclosed", "'unclosed", "]", "}", "[", "{", ",", "a, b", "a]", "a}", "- - a",
}

var keys = []string{"k", "on", "1", "0x10", "1.5", "1e10", "~", "\"q\"", "'on'", "a b", "<<", "?", "null", "true", "-", "[a]", "{a: b}", ".5", "1e-7", "123456789", "0.00001", "123456.7", "é", "!!str 1", "${x}", "\"\""}

func generated(count int) []row {
	random := rand.New(rand.NewSource(20261120))
	pick := func(of []string) string { return of[random.Intn(len(of))] }
	var rows []row
	add := func(text string) { rows = append(rows, judge(fmt.Sprintf("generated %d", len(rows)), text)) }
	for _, scalar := range scalars {
		add("k: " + scalar + "\n")
		add("- " + scalar + "\n")
		add("[x, " + scalar + "]\n")
	}
	for _, key := range keys {
		add(key + ": 1\n")
		add("{" + key + ": 1}\n")
	}
	for len(rows) < count {
		var text strings.Builder
		for range 1 + random.Intn(3) {
			switch random.Intn(7) {
			case 0:
				fmt.Fprintf(&text, "%s: %s\n", pick(keys), pick(scalars))
			case 1:
				fmt.Fprintf(&text, "m%d:\n  %s: %s\n  %s: %s\n", random.Intn(9), pick(keys), pick(scalars), pick(keys), pick(scalars))
			case 2:
				fmt.Fprintf(&text, "l%d:\n- %s\n- %s\n", random.Intn(9), pick(scalars), pick(scalars))
			case 3:
				fmt.Fprintf(&text, "f%d: {%s: %s, x: %s}\n", random.Intn(9), pick(keys), pick(scalars), pick(scalars))
			case 4:
				fmt.Fprintf(&text, "d%d:\n  - %s: %s\n    z: %s\n", random.Intn(9), pick(keys), pick(scalars), pick(scalars))
			case 5:
				fmt.Fprintf(&text, "n%d: &a {x: %s}\no%d: {<<: *a, y: %s}\n", random.Intn(9), pick(scalars), random.Intn(9), pick(scalars))
			case 6:
				fmt.Fprintf(&text, "%s: %s # note\n", pick(keys), pick(scalars))
			}
		}
		add(text.String())
	}
	return rows
}

func run(folder string) error {
	rows, err := cases(filepath.Join(folder, "cases.txt"))
	if err != nil {
		return err
	}
	rows = append(rows, generated(2000)...)
	file, err := os.Create(filepath.Join(folder, "expected.jsonl"))
	if err != nil {
		return err
	}
	defer file.Close()
	writer := bufio.NewWriter(file)
	encoder := json.NewEncoder(writer)
	encoder.SetEscapeHTML(false)
	for _, row := range rows {
		if err := encoder.Encode(row); err != nil {
			return err
		}
	}
	return writer.Flush()
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run . FOLDER")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
