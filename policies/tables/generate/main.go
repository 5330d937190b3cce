// Writes ../shapes.txt: for every namespaced kind of Kubernetes, the fields of every type that it reaches.
//
// The Go types say what JSON alone cannot: which fields are pointers (a pointer that is set to nothing is not the same
// as one that is absent), which are quantities, which structs are inlined. The OpenAPI document says which lists have
// keys, which resources are namespaced, and which have a status subresource.
//
// Run `go run . > ../shapes.txt` here. For another Kubernetes version change go.mod and the constant below.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"sort"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

const version = "v1.36.3"

type property struct {
	ListType      string   `json:"x-kubernetes-list-type"`
	ListKeys      []string `json:"x-kubernetes-list-map-keys"`
	MergeKey      string   `json:"x-kubernetes-patch-merge-key"`
	PatchStrategy string   `json:"x-kubernetes-patch-strategy"`
}

type operation struct {
	Gvk *struct{ Group, Version, Kind string } `json:"x-kubernetes-group-version-kind"`
}

type document struct {
	Definitions map[string]struct {
		Properties map[string]property `json:"properties"`
	} `json:"definitions"`
	Paths map[string]map[string]json.RawMessage `json:"paths"`
}

type kind struct {
	gvk        schema.GroupVersionKind
	plural     string
	namespaced bool
	status     bool
	typ        string
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func load() document {
	out, err := exec.Command("go", "mod", "download", "-json", "k8s.io/kubernetes@"+version).Output()
	check(err)
	var module struct{ Dir string }
	check(json.Unmarshal(out, &module))
	text, err := os.ReadFile(filepath.Join(module.Dir, "api/openapi-spec/swagger.json"))
	check(err)
	var doc document
	check(json.NewDecoder(bytes.NewReader(text)).Decode(&doc))
	return doc
}

func kinds(doc document) []kind {
	byGvk := map[schema.GroupVersionKind]*kind{}
	status := map[string]bool{}
	for path := range doc.Paths {
		if rest, ok := strings.CutSuffix(path, "/{name}/status"); ok {
			status[rest] = true
		}
	}
	for path, item := range doc.Paths {
		raw, ok := item["post"]
		if !ok || strings.Contains(path, "{name}") {
			continue
		}
		var op operation
		check(json.Unmarshal(raw, &op))
		if op.Gvk == nil {
			continue
		}
		gvk := schema.GroupVersionKind{Group: op.Gvk.Group, Version: op.Gvk.Version, Kind: op.Gvk.Kind}
		byGvk[gvk] = &kind{
			gvk:        gvk,
			plural:     path[strings.LastIndex(path, "/")+1:],
			namespaced: strings.Contains(path, "/namespaces/{namespace}/"),
			status:     status[path],
		}
	}
	var all []kind
	for _, k := range byGvk {
		all = append(all, *k)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].gvk.String() < all[j].gvk.String() })
	return all
}

// name is short and unique: core/v1.PodSpec, meta/v1.ObjectMeta.
func name(t reflect.Type) string {
	parts := strings.Split(t.PkgPath(), "/")
	return strings.Join(parts[len(parts)-2:], "/") + "." + t.Name()
}

func definition(t reflect.Type) string {
	return strings.ReplaceAll(strings.Replace(t.PkgPath(), "k8s.io/", "io.k8s.", 1), "/", ".") + "." + t.Name()
}

type writer struct {
	doc   document
	types map[string][]string
}

// scalar names the types whose JSON is not their Go structure.
func scalar(t reflect.Type) string {
	switch t.PkgPath() + "." + t.Name() {
	case "k8s.io/apimachinery/pkg/api/resource.Quantity":
		return "quantity"
	case "k8s.io/apimachinery/pkg/util/intstr.IntOrString":
		return "intstr"
	case "k8s.io/apimachinery/pkg/apis/meta/v1.Time":
		return "time"
	case "k8s.io/apimachinery/pkg/apis/meta/v1.MicroTime":
		return "microtime"
	case "k8s.io/apimachinery/pkg/apis/meta/v1.Duration":
		return "string"
	case "k8s.io/apimachinery/pkg/apis/meta/v1.FieldsV1", "k8s.io/apimachinery/pkg/runtime.RawExtension":
		return "any"
	}
	return ""
}

func (w *writer) describe(t reflect.Type) string {
	if s := scalar(t); s != "" {
		return s
	}
	switch t.Kind() {
	case reflect.Pointer:
		return "*" + w.describe(t.Elem())
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "bool"
	case reflect.Int32, reflect.Int64, reflect.Int, reflect.Uint8, reflect.Uint32, reflect.Uint64:
		return "int"
	case reflect.Float32, reflect.Float64:
		return "number"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "bytes"
		}
		return "[]" + w.describe(t.Elem())
	case reflect.Map:
		// Only resource lists are rounded up to thousandths.
		if t.Name() == "ResourceList" {
			return "{}milli"
		}
		return "{}" + w.describe(t.Elem())
	case reflect.Struct:
		w.add(t)
		return name(t)
	case reflect.Interface:
		return "any"
	}
	check(fmt.Errorf("a type that the generator does not know: %v", t))
	return ""
}

func (w *writer) add(t reflect.Type) {
	if _, done := w.types[name(t)]; done {
		return
	}
	w.types[name(t)] = nil
	lines := w.fields(t, definition(t))
	sort.Strings(lines)
	w.types[name(t)] = lines
}

func (w *writer) fields(t reflect.Type, def string) []string {
	var lines []string
	for i := 0; i < t.NumField(); i++ {
		field := t.Field(i)
		tag := field.Tag.Get("json")
		jsonName, options, _ := strings.Cut(tag, ",")
		if jsonName == "-" {
			continue
		}
		if jsonName == "" {
			if !strings.Contains(options, "inline") && !field.Anonymous {
				continue
			}
			inner := field.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			lines = append(lines, w.fields(inner, def)...)
			continue
		}
		line := jsonName + " " + w.describe(field.Type)
		property, known := w.doc.Definitions[def].Properties[jsonName]
		if !known && len(w.doc.Definitions[def].Properties) > 0 {
			// A field of Go that the server does not document is none of the API's.
			fmt.Fprintf(os.Stderr, "not in OpenAPI: %s.%s\n", def, jsonName)
		}
		if field.Type.Kind() == reflect.Slice {
			if list := keys(field.Type.Elem(), property); list != "" {
				line += " " + list
			}
		}
		lines = append(lines, line)
	}
	return lines
}

func keys(element reflect.Type, p property) string {
	switch {
	case p.ListType == "map":
		return strings.Join(p.ListKeys, ",")
	case p.ListType == "set":
		return "set"
	case p.ListType == "atomic":
		return ""
	case p.MergeKey != "" && element.Kind() == reflect.Struct:
		return p.MergeKey
	case p.PatchStrategy == "merge":
		return "set"
	}
	return ""
}

func main() {
	doc := load()
	w := &writer{doc: doc, types: map[string][]string{}}
	all := kinds(doc)
	var out bytes.Buffer
	fmt.Fprintf(&out, "# Kubernetes %s. Written by generate/; do not edit.\n", version)
	for i := range all {
		k := &all[i]
		k.typ = "-"
		if example, err := scheme.Scheme.New(k.gvk); err == nil && k.namespaced {
			t := reflect.TypeOf(example).Elem()
			w.add(t)
			k.typ = name(t)
		}
		scope := "cluster"
		if k.namespaced {
			scope = "namespaced"
		}
		status := "-"
		if k.status {
			status = "status"
		}
		version := k.gvk.Version
		if k.gvk.Group != "" {
			version = k.gvk.Group + "/" + version
		}
		fmt.Fprintf(&out, "kind %s %s %s %s %s %s\n", version, k.gvk.Kind, k.plural, scope, status, k.typ)
	}
	// What a status holds is never compared where the status is a subresource: cut it off and what only it reaches.
	keep := map[string]bool{}
	var walk func(string, bool)
	walk = func(t string, root bool) {
		if keep[t] {
			return
		}
		keep[t] = true
		for i, line := range w.types[t] {
			field, rest, _ := strings.Cut(line, " ")
			if root && field == "status" {
				w.types[t][i] = "status any"
				continue
			}
			rest, _, _ = strings.Cut(rest, " ")
			rest = strings.TrimLeft(rest, "*[]{}")
			if _, ok := w.types[rest]; ok {
				walk(rest, false)
			}
		}
	}
	for _, k := range all {
		if k.status && k.typ != "-" {
			walk(k.typ, true)
		}
	}
	for _, k := range all {
		if k.typ != "-" {
			walk(k.typ, false)
		}
	}
	var names []string
	for t := range keep {
		names = append(names, t)
	}
	sort.Strings(names)
	for _, t := range names {
		fmt.Fprintf(&out, "[%s]\n", t)
		for _, line := range w.types[t] {
			fmt.Fprintf(&out, "%s\n", line)
		}
	}
	_, err := os.Stdout.Write(out.Bytes())
	check(err)
}
