package signature

import (
	"math"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/daemon/check/signature/buffer"
)

// usual estimates how often texts stand in ordinary requests, so that a rule
// is looked for by the text that costs least: a sample of what requests are
// made of, and how often each byte follows another in it.
type usual struct {
	sample string
	// follow is the logarithm of how likely a byte comes after another, alone
	// that of the byte by itself.
	follow [256][256]float32
	alone  [256]float32
	// windows counts each four and three bytes of the sample, case folded.
	windows map[uint32]int
}

// kind says what a buffer holds.
type kind uint8

const (
	fields kind = iota // header lines
	targets
	agents
	bodies
	kinds
)

// length is about how many bytes an ordinary buffer of each kind has, and how
// many requests have such a buffer.
var ordinary = [kinds]struct{ length, share float64 }{fields: {700, 1}, targets: {80, 1}, agents: {110, 1}, bodies: {600, 0.3}}

var samples = [kinds]string{
	fields: "\r\naccept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\naccept-language: en-us,en;q=0.5\r\n" +
		"accept: application/json, text/plain, */*\r\naccept-encoding: gzip, deflate, br, zstd\r\nconnection: keep-alive\r\nconnection: close\r\n" +
		"host: www.example.com\r\nhost: api.example.org:8080\r\nhost: localhost\r\nhost: 127.0.0.1\r\ncache-control: no-cache\r\npragma: no-cache\r\ncache-control: max-age=0\r\n" +
		"user-agent: mozilla/5.0 (windows nt 10.0; win64; x64) applewebkit/537.36 (khtml, like gecko) chrome/120.0.0.0 safari/537.36 edg/120.0\r\n" +
		"user-agent: curl/8.5.0\r\nuser-agent: python-requests/2.31.0\r\nuser-agent: go-http-client/1.1\r\nuser-agent: postmanruntime/7.36.1\r\nuser-agent: okhttp/4.12.0\r\n" +
		"user-agent: axios/1.6.2\r\nuser-agent: java/17.0.2\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 123\r\n" +
		"content-type: multipart/form-data; boundary=----webkitformboundary\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: 4567890\r\n" +
		"referer: https://www.example.com/index.php?id=\r\nreferer: http://\r\norigin: https://app.example.com\r\nauthorization: bearer eyjhbgcioijiuzi1niisinr5cci6ikpxvcj9.eyjzdwiioiixmjm0nty3odkwiiwibmftzsi6ikpvag4grg9liiwiawf0ijoxnteynjmtmwf0joxnteymzkwmjj9\r\nauthorization: bearer eyjhbgcioijsuzi1niisimtpzci6ij\r\nauthorization: basic \r\n" +
		"cookie: session=abc; sessionid=; phpsessid=; jsessionid=; _ga=ga1.2.; csrftoken=; theme=dark; consent=all; lang=en; user=; token=; id=\r\n" +
		"x-forwarded-for: 10.0.0.1\r\nx-forwarded-proto: https\r\nx-real-ip: 192.168.1.1\r\nx-request-id: 4bf92f3577b34da6a3ce929d0e0e4736\r\nx-requested-with: xmlhttprequest\r\n" +
		"sec-fetch-site: same-origin\r\nsec-fetch-mode: cors\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: document\r\nsec-fetch-dest: empty\r\nsec-ch-ua: \"chromium\";v=\"120\", \"not?a_brand\";v=\"24\"\r\n" +
		"upgrade-insecure-requests: 1\r\nif-none-match: w/\"abc\"\r\nif-modified-since: mon, 01 jan 2024 00:00:00 gmt\r\ndnt: 1\r\nte: trailers\r\nrange: bytes=0-\r\nx-api-key: \r\nvia: 1.1\r\n" +
		"get / http/1.1\r\npost / http/1.1\r\nput /api/ http/1.1\r\ndelete / http/1.1\r\nget /index.html http/1.0\r\noptions * http/1.1\r\nhead / http/1.1\r\nexpect: 100-continue\r\n\r\n",
	targets: "/ /index.html /index.php?id=1&action=view&page=2 /api/v1/users/123?limit=10&offset=20&sort=created&order=desc /api/v2/orders?status=open&fields=id,name,total " +
		"/search?q=test&lang=en&type=all /login /logout /admin/ /user/profile /static/js/main.js /css/style.css /images/logo.png /assets/app.css /favicon.ico /fonts/ .woff2 .svg .jpg .gif " +
		"/wp-content/ /wp-login.php /wp-admin/ /auth/token /oauth2/authorize?client_id=&redirect_uri=https://app.example.com/&response_type=code&scope=openid&state= " +
		"/graphql?query= /health /status /metrics /v1/items/ /products?category=&filter=&from=&to=&date=2024-01-01&user=&name=&key=&token=&per_page=100 /repos/ /issues/ /comments /files/ /download?file=report.pdf " +
		"/upload /data/ /config /settings /account /cart /checkout /blog/2024/01/ .html .json .xml .asp .aspx .jsp .do .cgi /cgi-bin/ http://www. https:// &callback=jquery &_=17 &version=1.0 &format=json &start= &end= &size= &max= &min= &count= &title= &message= &email=user@example.com &password= &update= &create &delete &select &order by &edit &new &list &get &post &show &add &remove &set &load &test &include",
	agents: "mozilla/5.0 (windows nt 10.0; win64; x64) applewebkit/537.36 (khtml, like gecko) chrome/120.0.0.0 safari/537.36 edg/120.0.0.0 " +
		"mozilla/5.0 (macintosh; intel mac os x 10_15_7) applewebkit/605.1.15 (khtml, like gecko) version/17.1 safari/605.1.15 mozilla/5.0 (x11; linux x86_64; rv:109.0) gecko/20100101 firefox/121.0 " +
		"mozilla/5.0 (iphone; cpu iphone os 17_1 like mac os x) mobile/15e148 mozilla/5.0 (linux; android 14; sm-s918b) mozilla/4.0 (compatible; msie 8.0; windows nt 6.1; trident/4.0) " +
		"curl/8.5.0 python-requests/2.31.0 go-http-client/1.1 postmanruntime/7.36.1 okhttp/4.12.0 axios/1.6.2 java/17.0.2 apache-httpclient/4.5 (java/11) node-fetch dart/3.2 ruby php/8 googlebot/2.1 (+http://www.google.com/bot.html) app",
	bodies: `{"id":1,"name":"test","email":"user@example.com","type":"object","items":[{"id":2,"value":"some text","price":10.5,"count":3}],"status":"active","created_at":"2024-01-01t00:00:00z","url":"https://www.example.com/","description":"the order of this is a new message from the user","enabled":true,"deleted":false,"parent":null,"tags":["a","b"],"data":{"key":"value"},"query":"query { user(id: 1) { name } }","variables":{}}` +
		"username=admin&password=secret&submit=login&csrf_token=abc&action=save&title=hello+world&content=the+text&page=1 " +
		"------webkitformboundary\r\ncontent-disposition: form-data; name=\"file\"; filename=\"photo.jpg\"\r\ncontent-type: image/jpeg\r\n\r\n" +
		`<?xml version="1.0" encoding="utf-8"?><soap:envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:body><m:get><id>1</id></m:get></soap:body></soap:envelope> <p>text with <b>html</b> and <a href="https://">links</a> and <br/> lines</p>` +
		" select from where and or not in order by update set insert into values create delete group user script function return if else for while include file get post put http https index php test admin root data list",
}

var usuals = sync.OnceValue(func() *[kinds]usual {
	var all [kinds]usual
	for k := range all {
		u := &all[k]
		u.sample = samples[k]
		var pairs [256][256]float64
		var single [256]float64
		n := float64(len(u.sample))
		for i := 0; i < len(u.sample); i++ {
			single[u.sample[i]]++
			if i > 0 {
				pairs[u.sample[i-1]][u.sample[i]]++
			}
		}
		for b := range 256 {
			// Every byte comes up now and then, most in names and tokens.
			u.alone[b] = float32(math.Log((single[b] + 0.2) / (n + 51)))
		}
		u.windows = map[uint32]int{}
		for i := 0; i+4 <= len(u.sample); i++ {
			u.windows[window(u.sample[i:])]++
			u.windows[window3(u.sample[i:])]++
		}
		for a := range 256 {
			for b := range 256 {
				p := (pairs[a][b] + 6*math.Exp(float64(u.alone[b]))) / (single[a] + 6)
				u.follow[a][b] = float32(math.Log(p))
			}
		}
	}
	return &all
})

// likely is how likely a text begins at a place in the buffer.
func (u *usual) likely(t string) float64 {
	x := u.alone[t[0]]
	for i := 1; i < len(t); i++ {
		x += u.follow[t[i-1]][t[i]]
	}
	return math.Exp(float64(x))
}

// oftenSeen is about how often an ordinary head holds this text, whose window
// is v.
func oftenSeen(t string, v uint32) float64 {
	u := usuals()
	return u[fields].likely(t)*1000 + 0.3*float64(u[fields].windows[v]) + 0.2*float64(min(u[targets].windows[v]+u[agents].windows[v], 3))
}

// kindOf is what a buffer holds.
func kindOf(id buffer.ID) kind {
	switch id {
	case buffer.SURI, buffer.SURIRaw, buffer.SLine, buffer.NURI, buffer.NURIRaw, buffer.NRequestLine, buffer.SValue, buffer.NParam:
		return targets
	case buffer.SUserAgent:
		return agents
	case buffer.SPayload, buffer.NPayload:
		return fields // most requests have no body
	}
	if id.Body() {
		return bodies
	}
	return fields
}

// expected is about how often a text in lower case stands in an ordinary
// request's buffer.
func expected(t string, id buffer.ID) float64 {
	k := kindOf(id)
	o := ordinary[k]
	switch id {
	case buffer.SHost, buffer.SHostRaw, buffer.SMethod, buffer.NMethod, buffer.SProtocol, buffer.NVersion, buffer.SContentLen, buffer.SConnection:
		o.length = 16
	case buffer.SPayload, buffer.NPayload, buffer.SStart:
		o.length, o.share = 1000, 1
	}
	u := &usuals()[k]
	n := o.length * o.share * u.likely(t)
	if len(t) > 2 {
		_, seen := rarestWindow(t, nil)
		_, three := rarestThree(t)
		n += 0.05 * min(seen, three, 1)
	}
	if len(t) <= 40 && strings.Contains(u.sample, t) {
		n = max(n, 0.5*o.share)
	}
	if id == buffer.SMethod || id == buffer.NMethod {
		switch {
		case strings.Contains("get", t):
			n = 0.7
		case strings.Contains("post", t):
			n = 0.3
		}
	}
	return n
}
