package score

import (
	"github.com/sallyport/sallyport/daemon/check"
	"github.com/sallyport/sallyport/daemon/request"
)

// Values calls see with every value that the model looks at on a visit, and
// its text. The model is trained on the same.
func Values(r *request.Request, phase check.Phase, see func(v *request.Value, text []byte)) {
	var values []request.Value
	if phase&check.Head != 0 {
		values = r.HeadValues()
		each(values, see)
	}
	if phase&check.Body != 0 {
		values = r.BodyValues()
		each(values, see)
	}
}

func each(values []request.Value, see func(v *request.Value, text []byte)) {
	for i := range values {
		see(&values[i], values[i].Text)
	}
}

var kindNames = [...]string{request.Path: "path", request.Query: "query", request.Form: "form", request.JSON: "json", request.Multipart: "multipart",
	request.Cookie: "cookie", request.HeaderKind: "header", request.XML: "xml", request.GraphQL: "graphql", request.Protobuf: "protobuf",
	request.BodyText: "body"}

func where(v *request.Value) string {
	name := "value"
	if int(v.Kind) < len(kindNames) && kindNames[v.Kind] != "" {
		name = kindNames[v.Kind]
	}
	if len(v.Name) > 0 {
		name += ":" + string(v.Name[:min(len(v.Name), 64)])
	}
	if v.Part != "" {
		name += " (" + v.Part + ")"
	}
	return name
}
