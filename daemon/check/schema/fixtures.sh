#!/bin/sh
# Fetches what the tests of this folder use when it is there: large public API
# documents and the official JSON-Schema-Test-Suite, out of released packages,
# into the folder named (.cache/fixtures). Nothing of it is committed.
set -eu
to=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$to/openapi" "$to/json-schema-test-suite"
to=$(cd "$to" && pwd)

module() { # module version: prints the folder it is unpacked in
	(cd "$tmp" && { [ -f go.mod ] || printf 'module fixtures\ngo 1.26\n' > go.mod; } && go mod download -json "$1@$2" | sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p')
}
take() { cp -f "$1" "$to/openapi/$2" && chmod u+w "$to/openapi/$2" && echo "$2"; }

d=$(module github.com/pb33f/libopenapi v0.42.4)/test_specs
take "$d/stripe.yaml" stripe.yaml
take "$d/docusignv3.1.json" docusign.json
take "$d/k8s.json" kubernetes-old.json
take "$d/asana.yaml" asana.yaml
take "$d/xsoar.json" xsoar.json
take "$(module k8s.io/kubectl v0.37.2)/testdata/openapi/swagger.json" kubernetes.json
take "$(module github.com/stripe/stripe-mock v0.203.0)/embedded/openapi/spec3.json" stripe.json
take "$(module github.com/getkin/kin-openapi v0.153.0)/openapi3/testdata/oai_v3_stoplight.json" sendgrid31.json
# Small documents by the hundred, right and wrong, that other projects test with.
many() {
	d=$(module "$1" "$2")
	name=$(basename "$1")
	(cd "$d" && find . \( -name '*.json' -o -name '*.yaml' -o -name '*.yml' \) | tar cf - -T -) | (mkdir -p "$to/openapi-many/$name" && cd "$to/openapi-many/$name" && tar xf - && chmod -R u+w .)
	echo "openapi-many/$name"
}
many github.com/getkin/kin-openapi v0.153.0
many github.com/go-openapi/validate v1.0.1
many github.com/go-openapi/analysis v1.0.1
many github.com/go-swagger/go-swagger v0.36.7
many github.com/ogen-go/ogen v1.24.0
many github.com/pb33f/libopenapi v0.42.4
many github.com/speakeasy-api/openapi v1.26.3
if command -v npm >/dev/null; then
	(cd "$tmp" && npm pack --silent @octokit/openapi@23.0.2 >/dev/null && tar xzf octokit-openapi-23.0.2.tgz package/generated/api.github.com.json)
	take "$tmp/package/generated/api.github.com.json" github.json
else
	echo "no npm: GitHub's document is left out"
fi
if command -v pip >/dev/null || command -v pip3 >/dev/null; then
	pip=$(command -v pip || command -v pip3)
	(cd "$tmp" && "$pip" download -q jsonschema==4.26.0 --no-binary jsonschema --no-deps >/dev/null 2>&1 || true)
	if [ -f "$tmp/jsonschema-4.26.0.tar.gz" ]; then
		tar xzf "$tmp/jsonschema-4.26.0.tar.gz" -C "$tmp"
		cp -R "$tmp/jsonschema-4.26.0/json/." "$to/json-schema-test-suite/" && echo json-schema-test-suite
	else
		echo "the source of jsonschema 4.26.0 could not be had: the official suite is left out"
	fi
else
	echo "no pip: the official suite is left out"
fi
