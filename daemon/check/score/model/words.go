package model

import "strings"

// A family is what a word belongs to for an interpreter. A word can belong
// to several.
type family uint32

const (
	famSQLVerb family = 1 << iota
	famSQLClause
	famSQLLogic
	famSQLFunc
	famSQLSchema
	famScript
	famSink
	famTag
	famHandler
	famShell
	famShellPath
	famFileTarget
	famScheme
	famPHP
	famJava
	famTemplate
	famNoSQL
	famLookup
	famXML
	famLDAP
	famHost
	famHTTP
	famCount = 22
)

// familyWords lists the words of each family: SQL's in the dialects of MySQL,
// PostgreSQL, SQL Server, Oracle and SQLite, HTML's elements that load or run
// something, commands of Unix and Windows, and so on.
var familyWords = []struct {
	fam   family
	words string
}{
	{famSQLVerb, `select insert update delete drop create alter truncate exec execute declare merge replace call load shutdown grant backup attach
		prepare handler rename`},
	{famSQLClause, `union from where having group order by limit offset into values set join inner outer left right table database all distinct top
		fetch using procedure returning rownum rows escape collate cast convert as on unionall index column trigger`},
	{famSQLLogic, `or and xor not like rlike regexp between in is null exists case when then else end div mod sounds ilike similar any some true false`},
	{famSQLFunc, `sleep benchmark waitfor delay pg_sleep concat concat_ws group_concat char chr ascii ord substr substring mid hex unhex version
		user current_user schema load_file outfile dumpfile extractvalue updatexml xp_cmdshell sp_executesql openrowset opendatasource
		utl_http utl_inaddr utl_raw dbms_pipe dbms_lock dbms_ldap ctxsys dbms_utility count floor rand if ifnull nullif coalesce length len md5 sha1
		randomblob make_set elt char_length bit_length db_name system_user session_user quote name_const exp row row_count json_keys
		xmltype to_char to_date nvarchar varchar cha nchar sp_oacreate xp_dirtree xp_regread sp_password sqlite_version iif decode
		rpad lpad strcmp string_agg listagg gtid_subset polygon multipoint linestring geometrycollection procedure analyse host_name
		pg_read_file lo_import query_to_xml get_host_address generate_series`},
	{famSQLSchema, `information_schema sysobjects syscolumns sys sqlite_master sqlite_temp_master pg_catalog pg_user pg_shadow pg_tables all_tables
		user_tables all_users mysql tables columns table_name column_name table_schema dual master msdb sysusers sysdatabases schemata
		msysobjects syslogins pg_class pg_database domain_domains sysmaster systables syscat sysibm`},
	{famScript, `var function return new this void typeof let const window document location self top parent frames globalthis settimeout setinterval
		constructor prototype array string object reflect apply call bind proxy import promise atob btoa unescape decodeuricomponent
		fromcharcode tostring concat join map find filter foreach reverse split innerhtml outerhtml write writeln appendchild createelement src
		href name hash search cookie domain localstorage sessionstorage xmlhttprequest fetch open send opener expression msgbox throw
		onerror srcdoc postmessage vbscript script delete with source valueof symbol crypto`},
	{famSink, `alert prompt confirm eval print function constructor settimeout setinterval fromcharcode execscript msgbox document cookie`},
	{famTag, `script img svg iframe body input object embed video audio form button a math style link meta base marquee details select textarea isindex
		frameset frame table td div span p br html head title animate set image bgsound layer ilayer applet xss keygen source
		track template noscript foreignobject use xml param menu isindex plaintext xmp listing comment b i u h1 h2 li ul ol font`},
	{famHandler, `onload onerror onclick onmouseover onfocus onblur ontoggle onstart onbegin onend onpageshow onscroll onresize onsubmit onchange oninput
		onkeydown onkeypress onkeyup onmousedown onmouseup onmousemove onmouseout onmouseenter onmouseleave ondblclick oncontextmenu ondrag
		onwheel onanimationstart onanimationend ontransitionend onpointerover onpointerenter onpointerdown onbeforeunload onhashchange
		onmessage onunload onplay onplaying onloadstart oncanplay onprogress onreadystatechange onafterprint onbeforeprint onpopstate
		onsearch oncopy oncut onpaste onselect ondrop onfinish onbounce oninvalid onformdata onauxclick onfocusin onfocusout onrepeat
		onloadeddata onloadedmetadata onended ontimeupdate onvolumechange onbeforescriptexecute onwebkitanimationstart onwebkittransitionend
		onbeforecopy onactivate onpropertychange onbeforeactivate ontouchstart ontouchend`},
	{famShell, `cat ls id whoami uname ping wget curl nc netcat ncat bash sh zsh dash csh ksh python python2 python3 perl ruby php node powershell pwsh cmd
		type dir net ipconfig ifconfig nslookup dig sleep echo printf rm cp mv chmod chown kill ps touch head tail less more tac nl od xxd
		base64 awk gawk sed grep egrep find xargs env export sudo su telnet ssh scp tftp ftp certutil bitsadmin mshta rundll32
		regsvr32 wmic systeminfo timeout exec eval system popen netstat hostname w who last mkfifo mknod nohup socat openssl lua
		tee cut sort uniq rev strings busybox crontab useradd passwd groups iptables reboot shutdown halt del copy ver tasklist start
		vol whois traceroute tracert host gcc make tar gzip zip unzip dd mount ifs`},
	{famShellPath, `bin usr dev tcp udp null tmp sbin local opt zero random urandom stdin stdout fd`},
	{famFileTarget, `etc passwd shadow hosts group proc self environ cmdline ini boot win windows system32 winnt web inf htaccess htpasswd id_rsa
		authorized_keys access_log error_log apache httpd nginx my cnf wp config php conf fstab issue motd sudoers crontab version mounts
		syslog auth log logs root home var inetpub wwwroot global asa bash_history git svn env drivers system sam repair
		boot_ini docker kubelet serviceaccount secrets cgroup maps sched_debug mysql passwd_ krb5 resolv`},
	{famScheme, `http https file ftp gopher dict php data javascript vbscript livescript jar ldap ldaps tftp expect phar glob zip netdoc sftp ssh2 rmi
		zlib ogg view mhtml smb local_file url mocha jdbc rar`},
	{famPHP, `system exec passthru shell_exec popen proc_open assert eval phpinfo base64_decode file_get_contents fopen fwrite fputs include require
		include_once require_once call_user_func call_user_func_array create_function preg_replace file_put_contents gzinflate str_rot13 _get _post
		_request _server _cookie _files _session globals readfile highlight_file show_source scandir unlink die exit pcntl_exec array_map usort
		array_filter getenv var_dump print_r echo print php md5 move_uploaded_file chr input filter wrapper allow_url_include auto_prepend_file
		disable_functions safe_mode ini_set error_reporting`},
	{famJava, `java javax lang runtime getruntime processbuilder getclass forname class classloader ognl springframework thread getinputstream ioutils
		scriptenginemanager getenginebyname getmethod invoke newinstance getdeclaredconstructor memberaccess allowstaticmethodaccess
		ognlcontext xwork2 opensymphony actioncontext servletactioncontext strutsresult redirect redirectaction methodaccessor denymethodexecution
		apache commons groovy nashorn js bcel jndilookup rmi naming org com sun rowset jdbcrowsetimpl templatesimpl autocommit datasourcename
		type fastjson exec start waitfor system getproperty process reflect setaccessible beans bytecode base64 bufferedreader
		inputstreamreader urlclassloader modifier module catalina resources pipeline spel expression util scanner`},
	{famTemplate, `__class__ __mro__ __subclasses__ __globals__ __builtins__ __import__ __init__ __base__ __bases__ __getitem__ __dict__ __getattribute__
		os subprocess popen config self request lipsum cycler joiner namespace url_for get_flashed_messages freemarker execute utility
		objectconstructor velocity twig _self env registerundefinedfiltercallback getfilter attr application read mro base import module
		inspect tojson constructor range smarty dump app session erb io file class evaluate handlebars lookup process
		mainmodule child_process execsync spawn require sandbox settings secret_key debug math foobar system assign
		pickle cpickle marshal yaml reduce check_output`},
	{famNoSQL, `ne gt lt gte lte nin regex where exists eq elemmatch expr options jsonschema mod size all or nor function this return match
		sleep mapreduce aggregate func db collection find`},
	{famLookup, `jndi ldap ldaps rmi dns iiop corba nis nds lower upper env sys date ctx main bundle base64 java log4j sd k8s docker event marker`},
	{famXML, `doctype entity system public element xinclude include xml version encoding xsl stylesheet template xslt cdata attlist
		notation parameter xmlns foo xxe ent schemalocation document script msxsl unparsed`},
	{famLDAP, `objectclass uid cn sn userpassword mail samaccountname memberof givenname ou dc admin department objectcategory`},
	{famHost, `localhost metadata internal instance latest meta computemetadata v1 burpcollaborator oastify interact oast dnslog ceye nip xip sslip
		localtest collaborator pingb requestbin evil attacker corp iam credentials`},
	{famHTTP, `set cookie location content type length host transfer encoding chunked http status ok connection keep alive refresh
		x forwarded for origin`},
}

// words finds a word's families by its hash; open addressing, never full.
const wordSlots = 8192

type wordSlot struct {
	hash uint64
	fam  family
}

var wordTable = buildWords()

func buildWords() *[wordSlots]wordSlot {
	t := new([wordSlots]wordSlot)
	for _, f := range familyWords {
		for _, w := range strings.Fields(f.words) {
			h := wordHash([]byte(w))
			i := h >> 51
			for t[i].hash != 0 && t[i].hash != h {
				i = (i + 1) % wordSlots
			}
			t[i].hash = h
			t[i].fam |= f.fam
		}
	}
	return t
}

const wordSeed, wordPrime = 0xcbf29ce484222325, 0x100000001b3

// wordHash hashes a word byte by byte, as scan does on its way (FNV-1a, with
// its low entropy in the high bits repaired by one multiplication).
func wordHash(w []byte) uint64 {
	h := uint64(wordSeed)
	for _, c := range w {
		h = (h ^ uint64(c)) * wordPrime
	}
	return finish(h)
}

func finish(h uint64) uint64 {
	h ^= h >> 32
	return h*0x9e3779b97f4a7c15 | 1
}

func families(h uint64) family {
	i := h >> 51
	for n := 0; n < wordSlots; n++ {
		s := &wordTable[i]
		if s.hash == h {
			return s.fam
		}
		if s.hash == 0 {
			return 0
		}
		i = (i + 1) % wordSlots
	}
	return 0
}
