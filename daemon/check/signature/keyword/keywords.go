package keyword

import (
	"strings"

	"github.com/sallyport/sallyport/daemon/check/signature/buffer"
)

// All lists every option of the rule language, those that are ignored,
// skipped or refused included.
var All = join(
	metaKeywords,
	[]*Keyword{
		contentKeyword,
		modifierKeyword("nocase", "nocase: the content before it in any case"),
		modifierKeyword("offset", "offset:N: the content begins at N or later"),
		modifierKeyword("depth", "depth:N: the content ends within N bytes of its offset"),
		modifierKeyword("distance", "distance:N: the content begins N bytes behind the last match or later"),
		modifierKeyword("within", "within:N: the content ends within N bytes of its distance"),
		modifierKeyword("fast_pattern", "fast_pattern[:only|offset,length]: the content to look for first"),
		modifierKeyword("rawbytes", "rawbytes: the content as it came, which buffers without decoding give anyway"),
		modifierKeyword("startswith", "startswith: the content begins the buffer"),
		modifierKeyword("endswith", "endswith: the content ends the buffer"),
		uricontentKeyword,
		pcreKeyword,
		absentKeyword, fileData, pktData,

		modifier("http_uri", buffer.SURI, buffer.NURI),
		modifier("http_raw_uri", buffer.SURIRaw, buffer.NURIRaw),
		modifier("http_header", buffer.SHeader, buffer.NHeader),
		modifier("http_raw_header", buffer.SHeaderRaw, buffer.NHeaderRaw),
		modifier("http_cookie", buffer.SCookie, buffer.NCookie),
		modifier("http_raw_cookie", buffer.SCookie, buffer.NCookieRaw),
		modifier("http_client_body", buffer.SBody, buffer.NBody),
		modifier("http_method", buffer.SMethod, buffer.NMethod),
		modifier("http_user_agent", buffer.SUserAgent, buffer.None),
		modifier("http_host", buffer.SHost, buffer.None),
		modifier("http_raw_host", buffer.SHostRaw, buffer.None),
		snort3Buffer("http_raw_body", buffer.NBodyRaw),
		snort3Buffer("http_raw_request", buffer.NRequestLine),
		snort3Buffer("http_version", buffer.NVersion),
		snort3Buffer("http_trailer", buffer.NTrailer),
		snort3Buffer("http_raw_trailer", buffer.NTrailerRaw),
		snort3Buffer("http_true_ip", buffer.NTrueIP),
		snort3Buffer("http_param", buffer.NParam),
		snort3Buffer("raw_data", buffer.NPayload),
		snort3Buffer("js_data", buffer.NBodyRaw),

		sticky("http.uri", buffer.SURI), sticky("http.uri.raw", buffer.SURIRaw),
		sticky("http.method", buffer.SMethod),
		sticky("http.request_line", buffer.SLine), sticky("http_request_line", buffer.SLine),
		sticky("http.protocol", buffer.SProtocol), sticky("http_protocol", buffer.SProtocol),
		sticky("http.header", buffer.SHeader), sticky("http.header.raw", buffer.SHeaderRaw),
		sticky("http.header_names", buffer.SHeaderNames), sticky("http_header_names", buffer.SHeaderNames),
		sticky("http.cookie", buffer.SCookie),
		sticky("http.user_agent", buffer.SUserAgent),
		sticky("http.host", buffer.SHost), sticky("http.host.raw", buffer.SHostRaw),
		sticky("http.referer", buffer.SReferer), sticky("http_referer", buffer.SReferer),
		sticky("http.content_type", buffer.SContentType), sticky("http_content_type", buffer.SContentType),
		sticky("http.content_len", buffer.SContentLen), sticky("http_content_len", buffer.SContentLen),
		sticky("http.accept", buffer.SAccept), sticky("http_accept", buffer.SAccept),
		sticky("http.accept_lang", buffer.SAcceptLang), sticky("http_accept_lang", buffer.SAcceptLang),
		sticky("http.accept_enc", buffer.SAcceptEnc), sticky("http_accept_enc", buffer.SAcceptEnc),
		sticky("http.connection", buffer.SConnection), sticky("http_connection", buffer.SConnection),
		sticky("http.start", buffer.SStart), sticky("http_start", buffer.SStart),
		sticky("http.request_body", buffer.SBody), sticky("http_request_body", buffer.SBody),
		sticky("http.request_header", buffer.SRequestHeader), sticky("http_request_header", buffer.SRequestHeader),
		sticky("file.data", buffer.SFileData), sticky("file.name", buffer.SFileName),

		sticky("sallyport.value", buffer.SValue), proseKeyword,

		urilenKeyword, bsizeKeyword, bufferlenKeyword, dsizeKeyword, isdataatKeyword,
		byteTestKeyword, byteJumpKeyword, byteExtractKeyword, byteMathKeyword,
		base64DecodeKeyword, base64DataKeyword,
		xorKeyword, pcrexformKeyword, fromBase64Keyword, gunzipKeyword, zlibKeyword,
		flowKeyword, serviceKeyword, appLayerKeyword,
		flowbitsKeyword, xbitsKeyword, hostbitsKeyword, flowintKeyword, noalertKeyword, alertKeyword,
		flagsKeyword, ipProtoKeyword, sameipKeyword, requiresKeyword, frameKeyword,
		thresholdKeyword, detectionFilterKeyword,
		filenameKeyword, fileextKeyword, filesizeKeyword, filesumKeyword("md5"), filesumKeyword("sha1"), filesumKeyword("sha256"),
		datasetKeyword, datarepKeyword, addressKeyword("ip.src"), addressKeyword("ip.dst"), entropyKeyword,
		httpEncodeKeyword, protectedContentKeyword, partOf("hash", "protected_content"), partOf("length", "protected_content"),
		regexKeyword, sdPatternKeyword, hashKeyword("md5"), hashKeyword("sha256"), hashKeyword("sha512"), versionMatchKeyword,
		countKeyword("http_num_headers", "header lines", buffer.NNumHeaders),
		countKeyword("http_num_trailers", "trailer lines", buffer.NNumTrailers),
		countKeyword("http_num_cookies", "cookies", buffer.NNumCookies),
		countKeyword("http_max_header_line", "bytes of the longest header line", buffer.NMaxHeader),
		countKeyword("http_max_trailer_line", "bytes of the longest trailer line", buffer.NMaxTrailer),
		headerTestKeyword("http_header_test", buffer.NHeader), headerTestKeyword("http_trailer_test", buffer.NTrailer),
	},
	transforms,
	each(response, "http_stat_code", "http_stat_msg", "http_server_body", "http_response_line", "http.stat_code", "http.stat_msg",
		"http.server_body", "http.response_line", "http.response_body", "http.response_header", "http.location", "http.server",
		"http_raw_status", "http_server", "http_location", "vba_data", "http_response_body"),
	about("about packets, not requests", "ttl", "tos", "id", "ipopts", "fragbits", "fragoffset", "window", "ack", "seq",
		"itype", "icode", "icmp_id", "icmp_seq", "stream_size", "rpc", "stream-event",
		"decode-event", "app-layer-event", "engine-event", "tcp.flags", "tcp.mss", "tcp.wscale", "tcp.hdr", "udp.hdr", "ipv4.hdr",
		"ipv6.hdr", "icmpv4.hdr", "icmpv6.hdr", "icmpv6.mtu", "wscale", "vlan.id", "vlan.layers", "csum", "l3_proto",
		"tcpv4-csum", "tcpv6-csum", "ipv4-csum", "icmpv4-csum", "udpv4-csum", "flow.age", "flow.pkts_toclient",
		"flow.pkts_toserver", "flow.bytes_toclient", "flow.bytes_toserver", "flow.pkts", "flow.bytes"),
	about("about another protocol", "asn1", "ber_data", "ber_skip", "ssl_state", "ssl_version", "ssl_version_check", "dce_iface", "dce_opnum",
		"dce_stub_data", "sip_header", "sip_body", "sip_method", "sip_stat_code", "gtp_info", "gtp_type", "gtp_version", "dnp3_data",
		"dnp3_func", "dnp3_ind", "dnp3_obj", "modbus_data", "modbus_func", "modbus_unit", "s7commplus_content", "s7commplus_func",
		"s7commplus_opcode", "cip_attribute", "enip_command", "mms_data", "mms_func", "iec104_apci_type", "iec104_asdu_func",
		"cvs", "ftpbounce", "dns.query", "dns_query", "tls.sni", "tls_sni", "tls.cert_subject", "tls_cert_subject",
		"tls.cert_issuer", "tls_cert_issuer", "tls.cert_serial", "tls_cert_serial", "tls.cert_fingerprint", "tls.version", "ja3.hash", "ja3_hash",
		"ja3.string", "ja3s.hash", "ja3s.string", "ja4.hash", "ssh.proto", "ssh_proto", "ssh.software", "ssh.softwareversion", "krb5_msg_type", "smb.share",
		"smb.named_pipe", "snmp.community", "snmp.version", "dcerpc.iface", "dcerpc.opnum", "dcerpc.stub_data", "rfb.name",
		"sip.method", "sip.uri", "mqtt.type", "http2.frametype", "http2.errorcode", "http2.priority", "http2.window", "http2.settings",
		"http2.size_update", "http2.header_name", "http2.header"),
	each(func(n string) *Keyword { return ignored(n, "it is about logging or the engine") },
		"tag", "logto", "session", "resp", "react", "replace", "activates", "activated_by", "target", "prefilter", "rem", "soid", "gsid",
		"enable", "nfq_set_mark", "filestore", "file_meta", "firewall", "bypass", "stream_reassemble", "count", "name", "config", "geneve_vni"),
	each(func(n string) *Keyword {
		return refused(n, "it needs what the daemon does not have: libmagic, scripts, lists of places or of applications")
	},
		"filemagic", "file.magic", "lua", "luajit", "luaxform", "iprep", "geoip", "appids", "file_type", "flowvar", "pktvar"),
)

var byName = func() map[string]*Keyword {
	m := make(map[string]*Keyword, len(All))
	for _, k := range All {
		m[k.Name] = k
	}
	return m
}()

func join(lists ...[]*Keyword) []*Keyword {
	var out []*Keyword
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

func each(make func(string) *Keyword, names ...string) []*Keyword {
	out := make0(names)
	for i, n := range names {
		out[i] = make(n)
	}
	return out
}

func make0(names []string) []*Keyword { return make([]*Keyword, len(names)) }

func about(what string, names ...string) []*Keyword {
	return each(func(n string) *Keyword { return elsewhere(n, what) }, names...)
}

// otherProtocols begin the names of options about other protocols than HTTP.
var otherProtocols = map[string]bool{
	"dns": true, "mdns": true, "llmnr": true, "tls": true, "ssl": true, "ssh": true, "smtp": true, "email": true, "mime": true,
	"ftp": true, "ftpdata": true, "ftpbounce": true, "smb": true, "dcerpc": true, "dce": true, "krb5": true, "ike": true,
	"quic": true, "snmp": true, "sip": true, "sdp": true, "rfb": true, "rdp": true, "mqtt": true, "nfs": true, "ldap": true,
	"pgsql": true, "mysql": true, "ntp": true, "tftp": true, "dhcp": true, "modbus": true, "enip": true, "cip": true,
	"dnp3": true, "websocket": true, "ja3": true, "ja3s": true, "ja4": true, "hassh": true, "bittorrent": true,
	"telnet": true, "imap": true, "pop3": true, "ether": true, "igmp": true, "icmpv4": true, "icmpv6": true, "icmp": true,
	"udp": true, "tcp": true, "ipv4": true, "ipv6": true, "vlan": true, "arp": true, "radius": true, "http2": true,
	"gtp": true, "s7commplus": true, "mms": true, "iec104": true, "opcua": true, "rpc": true, "ber": true, "tcpv4": true,
	"tcpv6": true, "udpv4": true, "udpv6": true, "ndpi": true, "decode": true, "stream": true, "socks": true,
}

// otherProtocol is the protocol that an option's name begins with, or empty.
func otherProtocol(option string) string {
	if i := strings.IndexAny(option, "._-"); i > 0 && otherProtocols[option[:i]] {
		return option[:i]
	}
	if otherProtocols[option] {
		return option
	}
	return ""
}
