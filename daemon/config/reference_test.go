package config

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite reference.md")

func TestTheReferenceIsWhatTheSettingsSay(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Configuration reference\n\n" +
		"Every key of `sallyport.toml`. Files in `conf.d/*.toml` beside it may add `[[site]]`, `[[exception]]` and `[check.*]` tables.\n" +
		"Made from the settings' comments by `go test ./daemon/config -update`.\n")
	docs := fieldDocs(t, ".")
	server, route := DefaultServer(), DefaultRoute()
	section(&b, "[server]", reflect.TypeOf(server), reflect.ValueOf(server), docs)
	section(&b, "[defaults], and each [[site]] and [[site.route]]", reflect.TypeOf(route), reflect.ValueOf(route), docs)
	section(&b, "failure, in any of those", reflect.TypeOf(route.Failure), reflect.ValueOf(route.Failure), docs)
	section(&b, "[[site]]", reflect.TypeOf(SiteSettings{}), reflect.ValueOf(SiteSettings{}), docs)
	section(&b, "[[site.route]]", reflect.TypeOf(NamedRoute{}), reflect.ValueOf(NamedRoute{}), docs)
	section(&b, "[[exception]]", reflect.TypeOf(ExceptionSettings{}), reflect.ValueOf(ExceptionSettings{}), docs)
	for _, table := range otherTables() {
		v := reflect.ValueOf(table.defaults).Elem()
		section(&b, table.name, v.Type(), v, fieldDocs(t, packageDir(v.Type())))
	}
	for _, e := range checks {
		v := reflect.ValueOf(e.defaults()).Elem()
		section(&b, "[check."+e.name+"]", v.Type(), v, fieldDocs(t, packageDir(v.Type())))
	}
	if *update {
		if err := os.WriteFile("reference.md", []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if reference != b.String() {
		t.Fatal("reference.md is stale: run go test ./daemon/config -update")
	}
}

func packageDir(t reflect.Type) string {
	_, rest, _ := strings.Cut(t.PkgPath(), "/daemon/")
	return filepath.Join("..", filepath.FromSlash(rest))
}

// fieldDocs reads the comments of all struct fields of a package, as "Type.Field".
func fieldDocs(t *testing.T, dir string) map[string]string {
	t.Helper()
	docs := map[string]string{}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			s, ok := spec.Type.(*ast.StructType)
			if !ok {
				return true
			}
			for _, field := range s.Fields.List {
				for _, ident := range field.Names {
					text := field.Doc.Text()
					if text == "" {
						text = field.Comment.Text()
					}
					docs[spec.Name.Name+"."+ident.Name] = strings.Join(strings.Fields(text), " ")
				}
			}
			return true
		})
	}
	return docs
}

func section(b *strings.Builder, title string, t reflect.Type, v reflect.Value, docs map[string]string) {
	fmt.Fprintf(b, "\n## %s\n\n", title)
	if v.IsValid() && t.NumField() == 0 {
		b.WriteString("Nothing to set but `mode`.\n")
		return
	}
	b.WriteString("| key | default | meaning |\n|---|---|---|\n")
	rows(b, "", t, v, docs, 0)
}

func rows(b *strings.Builder, prefix string, t reflect.Type, v reflect.Value, docs map[string]string, depth int) {
	for i := range t.NumField() {
		f := t.Field(i)
		key, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		if key == "" || key == "-" {
			continue
		}
		doc := docs[t.Name()+"."+f.Name]
		fmt.Fprintf(b, "| `%s%s` | %s | %s |\n", prefix, key, defaultText(v.Field(i)), strings.ReplaceAll(doc, "|", "\\|"))
		inner := f.Type
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice || inner.Kind() == reflect.Map {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && inner.PkgPath() == t.PkgPath() && depth < 4 && inner.Name() != "FailureSettings" && inner.Name() != "NamedRoute" {
			rows(b, prefix+key+".", inner, reflect.New(inner).Elem(), docs, depth+1)
		}
	}
}

func defaultText(v reflect.Value) string {
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.String:
		if v.String() != "" {
			return fmt.Sprintf("`%q`", v.String())
		}
	case reflect.Bool, reflect.Int, reflect.Int64, reflect.Float64, reflect.Uint64, reflect.Int32, reflect.Uint32, reflect.Uint8:
		if !v.IsZero() || v.Kind() == reflect.Bool {
			return fmt.Sprintf("`%v`", v.Interface())
		}
		return "`0`"
	case reflect.Slice:
		if v.Len() > 0 && v.Index(0).Kind() == reflect.String {
			return fmt.Sprintf("`%q`", v.Interface())
		}
	}
	return ""
}
