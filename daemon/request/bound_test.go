package request

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/sallyport/sallyport/daemon/casefile"
	"github.com/sallyport/sallyport/daemon/request/decode"
)

// all opens everything of a request.
func all(r *Request) {
	for _, vs := range [2][]Value{r.HeadValues(), r.BodyValues()} {
		for i := range vs {
			r.Layers(&vs[i])
		}
	}
	r.Path()
	r.Segments()
}

func post(mediaType string, body []byte) *Request {
	r := Get()
	fillBody(mediaType, body)(r)
	return r
}

func expectMark(t *testing.T, r *Request, m Mark) {
	t.Helper()
	if !r.Marked(m) {
		t.Errorf("the mark %v is missing; there are %v", m, r.Markers())
	}
}

func TestAMillionParametersStopAtTheBound(t *testing.T) {
	r := Get()
	defer r.Release()
	r.Method, r.URI = "GET", []byte("/?"+strings.Repeat("a=%27&", 1_000_000)+"last=<script>")
	all(r)
	if n := len(r.Query()); n != MaxParams+1 {
		t.Errorf("%d parameters, want %d and the rest", n, MaxParams)
	}
	rest := r.Query()[MaxParams]
	if !rest.Rest || !bytes.HasSuffix(rest.Value, []byte("last=<script>")) {
		t.Errorf("the rest is not kept: %.40q", rest.Value)
	}
	expectMark(t, r, MarkParams)
}

func TestAFormOfAMillionFieldsStopsAtTheBound(t *testing.T) {
	r := post("application/x-www-form-urlencoded", []byte(strings.Repeat("a=b&", 1_000_000)))
	defer r.Release()
	all(r)
	if n := len(r.BodyValues()); n != MaxParams+1 {
		t.Errorf("%d values, want %d", n, MaxParams+1)
	}
	expectMark(t, r, MarkParams)
}

func TestJSONAHundredThousandDeepIsReadFlat(t *testing.T) {
	const deep = 100_000
	for _, open := range []string{"[", `{"a":`} {
		closing := map[string]string{"[": "]", `{"a":`: "}"}[open]
		r := post("application/json", []byte(strings.Repeat(open, deep)+`"<script>"`+strings.Repeat(closing, deep)))
		all(r)
		found := false
		for _, v := range r.BodyValues() {
			found = found || string(v.Text) == "<script>"
			if len(v.Name) > decode.MaxJSONPointer+decode.MaxJSONKey {
				t.Fatalf("a pointer of %d bytes", len(v.Name))
			}
		}
		if !found {
			t.Errorf("%s: the innermost value is not seen", open)
		}
		expectMark(t, r, MarkJSONDeep)
		r.Release()
	}
}

func TestAPathOfAMebibyteIsBounded(t *testing.T) {
	r := Get()
	defer r.Release()
	r.Method, r.URI = "GET", []byte(strings.Repeat("/a/..%2f", 1<<17))
	all(r)
	if n := len(r.Segments()); n > MaxSegments+1 {
		t.Errorf("%d segments", n)
	}
	if n := len(r.HeadValues()); n > MaxSegments+3 {
		t.Errorf("%d values", n)
	}
	expectMark(t, r, MarkSegments)
}

func TestMoreValuesThanTheBoundLeaveTheRestAsOne(t *testing.T) {
	r := post("application/json", []byte("["+strings.Repeat("1,", 2*MaxValues)+`"<script>"]`))
	defer r.Release()
	all(r)
	vs := r.BodyValues()
	if len(vs) != MaxValues+1 || vs[MaxValues].Part != "rest" || !bytes.Contains(vs[MaxValues].Text, []byte("<script>")) {
		t.Errorf("%d values, the last is %s", len(vs), vs[len(vs)-1].Where())
	}
	expectMark(t, r, MarkValues)
}

func TestMoreProtobufFieldsThanTheBoundLeaveTheRestAsOne(t *testing.T) {
	r := post("application/x-protobuf", append(bytes.Repeat([]byte("\x0a\x01a"), MaxValues+1), "\x0a\x08<script>"...))
	defer r.Release()
	all(r)
	vs := r.BodyValues()
	if last := vs[len(vs)-1]; len(vs) != MaxValues+1 || !bytes.Contains(last.Text, []byte("<script>")) {
		t.Errorf("%d values, the last is %s", len(vs), last.Where())
	}
	expectMark(t, r, MarkValues)
}

func compressed(t *testing.T, coding string, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var err error
	switch coding {
	case "gzip":
		z := gzip.NewWriter(&b)
		_, err = z.Write(plain)
		_ = z.Close()
	case "br":
		z := brotli.NewWriter(&b)
		_, err = z.Write(plain)
		_ = z.Close()
	case "zstd":
		var z *zstd.Encoder
		if z, err = zstd.NewWriter(&b); err == nil {
			_, err = z.Write(plain)
			_ = z.Close()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestADecompressionBombIsCutAndMarked(t *testing.T) {
	zeros := make([]byte, 16<<20)
	for _, coding := range []string{"gzip", "br", "zstd"} {
		r := post("text/plain", compressed(t, coding, zeros))
		r.Headers = append(r.Headers, Header{[]byte("Content-Encoding"), []byte(coding)})
		all(r)
		if n := len(r.DecodedBody()); n > MaxDecoded {
			t.Errorf("%s: %d bytes were kept", coding, n)
		}
		if !r.Marked(MarkDecoded) { // deflate packs no better than 1:1030
			expectMark(t, r, MarkRatio)
		}
		if cap(r.decodedBuf) > 2*MaxDecoded {
			t.Errorf("%s: %d bytes of memory", coding, cap(r.decodedBuf))
		}
		r.Release()
	}
}

func TestCompressedBodiesAreReadInAllCodings(t *testing.T) {
	want := []byte(`{"a":"<script>"}`)
	gz := compressed(t, "gzip", want)
	for _, c := range []struct {
		coding string
		body   []byte
	}{
		{"gzip", gz}, {"X-GZIP", gz}, {"br", compressed(t, "br", want)}, {"zstd", compressed(t, "zstd", want)},
		{"identity", want}, {"gzip, br", compressed(t, "br", gz)}, {"br, gzip", compressed(t, "gzip", compressed(t, "br", want))},
	} {
		for range 2 { // the second time from warm pools
			r := post("application/json", c.body)
			r.Headers = append(r.Headers, Header{[]byte("Content-Encoding"), []byte(c.coding)})
			// Short text stands in some codings as it is, so it is seen twice.
			if vs := r.BodyValues(); len(vs) < 1 || len(vs) > 2 || string(vs[0].Text) != "<script>" {
				t.Errorf("%s: %d values, body %.40q, marks %v", c.coding, len(vs), r.DecodedBody(), r.Markers())
			}
			r.Release()
		}
	}
}

func TestAnEncodedValueIsUndoneToTheBoundAndNoFurther(t *testing.T) {
	r := Get()
	defer r.Release()
	r.Method, r.URI = "GET", []byte("/?q=%"+strings.Repeat("25", 40)+"27")
	all(r)
	expectMark(t, r, MarkLayers)
	for i, v := range r.HeadValues() {
		if n := len(r.Layers(&r.head[i])); n > MaxLayers {
			t.Errorf("%s has %d layers", v.Where(), n)
		}
	}
}

func TestNestedValuesStopAtTheBound(t *testing.T) {
	text := `"x"`
	for range 8 {
		text = fmt.Sprintf("%q", `{"a":`+text+`}`)
	}
	r := post("application/json", []byte(`{"a":`+text+`}`))
	defer r.Release()
	all(r)
	expectMark(t, r, MarkNesting)
}

func TestDerivedTextIsBounded(t *testing.T) {
	var b strings.Builder
	for i := range 4000 {
		fmt.Fprintf(&b, "p%d=%s&", i, strings.Repeat("%25253c", 400))
	}
	r := post("application/x-www-form-urlencoded", []byte(b.String()))
	defer r.Release()
	all(r)
	if r.arena.spent > MaxDerived {
		t.Errorf("%d bytes of decoded text", r.arena.spent)
	}
	expectMark(t, r, MarkDerived)
}

func TestNothingOfARequestIsLeftAfterRelease(t *testing.T) {
	r := post("application/json; charset=utf-8", []byte(`{"secret":"hunter2","secret":"\u0041"}`))
	r.URI = []byte("/a?secret=hunter2&x=%41")
	r.Headers = append(r.Headers, Header{[]byte("Cookie"), []byte("secret=hunter2")})
	r.Host, r.ID = []byte("h"), []byte("i")
	all(r)
	r.Release()
	fresh := &Request{}
	if r.Method != "" || r.URI != nil || len(r.Headers) != 0 || r.Body.Present || r.Host != nil || r.ID != nil ||
		r.done != fresh.done || len(r.head) != 0 || len(r.body) != 0 || len(r.query) != 0 || len(r.cookies) != 0 ||
		len(r.marks) != 0 || r.markSeen != fresh.markSeen || r.ids != 0 || len(r.spans) != 0 || r.media != nil || r.decoded != nil {
		t.Errorf("a released request keeps %+v", r)
	}
	for _, v := range r.head[:cap(r.head)] {
		if v.Text != nil {
			t.Fatalf("a released request points to %q", v.Text)
		}
	}
}

func FuzzRequest(f *testing.F) {
	for _, c := range casefile.Read(f, "testdata/*.txt") {
		r := opened(c)
		var media, coding []byte
		if h := r.Header("content-type"); h != nil {
			media = h
		}
		f.Add(r.URI, r.Header("cookie"), media, coding, r.Body.Bytes)
		r.Release()
	}
	f.Add([]byte("/"), []byte("a=b"), []byte("text/plain"), []byte("gzip, br"), []byte("\x1f\x8b\x08"))
	f.Add([]byte("/?a=PHNj+cmlwdD5h"), []byte("Basic YSc6Yg=="), []byte("text/xml; charset=gbk"), []byte(""), []byte("<a>\x81\x30\x81\x30<!--x-->b</a>"))
	f.Add([]byte("/"), []byte("$Version=1; a=\"b;\\074\"; c"), []byte("application/x-www-form-urlencoded; charset=utf-16"), []byte("identity"), []byte("a=%00%3c&b=+ADw-"))
	f.Fuzz(func(t *testing.T, uri, cookie, media, coding, body []byte) {
		r := Get()
		defer r.Release()
		r.Method, r.URI = "POST", uri
		r.Headers = append(r.Headers, Header{[]byte("Cookie"), cookie}, Header{[]byte("Referer"), cookie}, Header{[]byte("Authorization"), cookie},
			Header{[]byte("Content-Type"), media}, Header{[]byte("Content-Encoding"), coding})
		r.Body = Body{Present: true, Bytes: body, Length: int64(len(body))}
		all(r)
		if len(r.HeadValues()) > MaxValues+1 || len(r.BodyValues()) > MaxValues+1 || r.arena.spent > MaxDerived {
			t.Fatalf("%d and %d values, %d bytes", len(r.head), len(r.body), r.arena.spent)
		}
		for _, vs := range [2][]Value{r.head, r.body} {
			for i := range vs {
				if vs[i].Parent >= i || vs[i].Where() == "" {
					t.Fatalf("value %d of %q has parent %d", i, vs[i].Where(), vs[i].Parent)
				}
				for _, l := range r.Layers(&vs[i]) {
					if len(l.Text) > len(vs[i].Text) {
						t.Fatalf("%s: a layer grew", vs[i].Where())
					}
				}
			}
		}
	})
}
