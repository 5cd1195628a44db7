package graphql

import (
	"strings"
	"testing"
)

func limits(t testing.TB) *Limits {
	l, err := New(Settings{Paths: []string{"/graphql"}, MaxDepth: 4, MaxAliases: 3, MaxDirectives: 3, MaxFields: 50, MaxBatch: 2,
		MaxTokens: 2000, MaxCost: 1000, PageArguments: []string{"first", "last"}, MaxPage: 100})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestWhatAQueryAsksFor(t *testing.T) {
	l := limits(t)
	spread := "query{a{...f0}}"
	for i := range 30 { // each fragment uses the next twice
		spread += " fragment f" + string(rune('A'+i%26)) + string(rune('0'+i/26)) + " on T{x}"
	}
	doubling := "query{...f00}"
	for i := range 40 {
		doubling += strings.ReplaceAll(strings.ReplaceAll(" fragment fN on T{...fM ...fM}", "N", num(i)), "M", num(i+1))
	}
	doubling += " fragment f40 on T{x}"
	for _, tc := range []struct{ query, want string }{
		{"{a{b{c{d}}}}", ""},
		{"{a{b{c{d{e}}}}}", "graphql_depth"},
		{"{a{... on T{b{c{d{e}}}}}}", "graphql_depth"},
		{"{x:a y:a z:a}", ""},
		{"{x:a y:a z:a w:a}", "graphql_aliases"},
		{"{a:a b:b}", ""}, // an alias that is the name
		{"{a @x @x @x @x}", "graphql_directives"},
		{"{" + strings.Repeat("a ", 51) + "}", "graphql_fields"},
		{"{a(first:101)}", "graphql_page"},
		{"query($n:Int=500){a(first:$n)}", "graphql_page"},
		{"{a(first:100){b(first:100){c}}}", "graphql_cost"},
		{"{__schema{types{fields{type{ofType{ofType{name}}}}}}}", "graphql_introspection"},
		{"{__typename}", ""},
		{"{a", "graphql_malformed"},
		{"", ""},
		{"query{...f} fragment f on T{a{...g}} fragment g on T{...f}", "graphql_malformed"},
		{"{" + strings.Repeat("a ", 3000) + "}", "graphql_too_large"},
		{doubling, "graphql_fields graphql_cost"}, // 2^40 fields in a kilobyte
		{spread, ""},
	} {
		var got []string
		for _, v := range l.Judge(tc.query, nil) {
			got = append(got, v.ID)
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%.60s: got %q, want %q", tc.query, got, tc.want)
		}
	}
	if l.Batch(2) != nil || l.Batch(3) == nil {
		t.Error("the batch's bound")
	}
}

func num(i int) string {
	return string(rune('0'+i/10)) + string(rune('0'+i%10))
}

func FuzzJudge(f *testing.F) {
	for _, s := range []string{"{a{b}}", "query($n:Int=1){a(first:$n)@x{...f}} fragment f on T{b}", "{a(first:{b:[1]})}", "mutation{a}", "{__type(name:\"a\"){name}}"} {
		f.Add(s)
	}
	l := limits(f)
	f.Fuzz(func(_ *testing.T, query string) { l.Judge(query, nil) })
}
