package keyword

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/daemon/check/signature/rule"
)

// identity are the options that say what a rule is, read even of a rule that
// is skipped.
var identity = map[string]bool{"sid": true, "gid": true, "rev": true, "msg": true, "classtype": true, "priority": true, "reference": true, "metadata": true}

func numberKeyword(name, help string, to func(p *Program, n uint32)) *Keyword {
	return &Keyword{Name: name, Help: help, Parse: func(b *Builder, o rule.Option) error {
		n, err := strconv.ParseUint(strings.TrimSpace(o.Value), 10, 32)
		if err != nil {
			return fmt.Errorf("%q is no number", clip(o.Value))
		}
		to(b.Prog, uint32(n))
		return nil
	}}
}

// classes are the classifications that rules use without a
// classification.config, with their priorities.
var classes = map[string]int{
	"attempted-admin": 1, "attempted-user": 1, "inappropriate-content": 1, "policy-violation": 1, "shellcode-detect": 1,
	"successful-admin": 1, "successful-user": 1, "trojan-activity": 1, "unsuccessful-user": 1, "web-application-attack": 1,
	"attempted-dos": 2, "attempted-recon": 2, "bad-unknown": 2, "default-login-attempt": 2, "denial-of-service": 2,
	"misc-attack": 2, "non-standard-protocol": 2, "rpc-portmap-decode": 2, "successful-dos": 2, "successful-recon-largescale": 2,
	"successful-recon-limited": 2, "suspicious-filename-detect": 2, "suspicious-login": 2, "system-call-detect": 2,
	"unusual-client-port-connection": 2, "web-application-activity": 2, "icmp-event": 3, "misc-activity": 3, "network-scan": 3,
	"not-suspicious": 3, "protocol-command-decode": 3, "string-detect": 3, "unknown": 3, "tcp-connection": 4,
	"sdf": 2, "file-format": 1, "client-side-exploit": 1, "exploit-kit": 1, "malware-cnc": 1, "command-and-control": 1,
	"credential-theft": 1, "targeted-activity": 1, "social-engineering": 2, "coin-mining": 2, "pup-activity": 2,
	"external-ip-check": 2, "domain-c2": 1, "malware-other": 1,
}

var metaKeywords = []*Keyword{
	numberKeyword("sid", "sid:N: the rule's number", func(p *Program, n uint32) { p.SID = n }),
	numberKeyword("gid", "gid:N: the generator the rule's number belongs to (1)", func(p *Program, n uint32) { p.GID = n }),
	numberKeyword("rev", "rev:N: the rule's revision", func(p *Program, n uint32) { p.Rev = n }),
	{Name: "priority", Help: "priority:N: how grave a match is, 1 the gravest", Parse: func(b *Builder, o rule.Option) error {
		n, err := strconv.Atoi(strings.TrimSpace(o.Value))
		if err != nil || n < 0 || n > 255 {
			return fmt.Errorf("%q is not in 0 to 255", clip(o.Value))
		}
		b.Prog.Priority = n
		return nil
	}},
	{Name: "msg", Help: `msg:"text": what a match means`, Parse: func(b *Builder, o rule.Option) error {
		b.Prog.Msg = rule.Unquote(o.Value)
		return nil
	}},
	{Name: "classtype", Help: "classtype:name: the rule's class, which gives its priority", Parse: func(b *Builder, o rule.Option) error {
		name := strings.ToLower(strings.TrimSpace(o.Value))
		b.Prog.Class = name
		if _, own := b.Rule.Option("priority"); own {
			return nil
		}
		if c, ok := b.files.Classes[name]; ok {
			b.Prog.Priority = c.Priority
		} else if n, ok := classes[name]; ok {
			b.Prog.Priority = n
		}
		return nil
	}},
	{Name: "reference", Help: "reference:system,id: where more is written", Parse: func(b *Builder, o rule.Option) error {
		system, id, ok := strings.Cut(o.Value, ",")
		if !ok {
			return fmt.Errorf("expected a system and an id")
		}
		b.Prog.References = append(b.Prog.References, strings.ToLower(strings.TrimSpace(system))+","+strings.TrimSpace(id))
		return nil
	}},
	{Name: "metadata", Help: "metadata:key value, ...: what else is known of the rule", Parse: func(b *Builder, o rule.Option) error {
		for _, m := range rule.Fields(o.Value) {
			if m != "" {
				b.Prog.Metadata = append(b.Prog.Metadata, strings.Trim(m, `"`))
			}
		}
		return nil
	}},
}

// ignored is an option that has no meaning for the daemon.
func ignored(name, why string) *Keyword {
	return &Keyword{Name: name, Help: name + ": accepted and without effect, " + why, Parse: func(b *Builder, o rule.Option) error {
		b.Prog.Ignored = append(b.Prog.Ignored, name)
		return nil
	}}
}

// packet is an option about packets or other protocols; its rule is skipped.
func elsewhere(name, about string) *Keyword {
	return &Keyword{Name: name, Help: name + ": " + about + "; the rule is skipped", Parse: func(b *Builder, o rule.Option) error {
		return Skip{"option " + name + ": " + about}
	}}
}

// refused is an option that could apply to a request but is not supported.
func refused(name, why string) *Keyword {
	return &Keyword{Name: name, Help: name + ": not supported, " + why, Parse: func(b *Builder, o rule.Option) error {
		return unsupported{"not supported: " + why}
	}}
}

var noalertKeyword = &Keyword{Name: "noalert", Help: "noalert: a match has effects but is not reported", Parse: func(b *Builder, o rule.Option) error {
	b.Prog.NoAlert = true
	return nil
}}

var alertKeyword = &Keyword{Name: "alert", Help: "alert: a match is reported even if the action would not", Parse: func(b *Builder, o rule.Option) error {
	b.Prog.NoAlert = false
	return nil
}}
