package main

import (
	"fmt"
	"slices"
	"strings"
)

// policyVectors are written down by hand: which sets of witnesses reach a quorum is not computed.
func policyVectors() M {
	logs := []*key{logKey, testKey("other.example/log")}
	ws := []*cosigner{}
	for i := range 6 {
		ws = append(ws, testCosigner(fmt.Sprintf("witness.example/w%d", i+1)))
	}
	log0, log1 := "log "+logs[0].vkey+"\n", "log "+logs[1].vkey+"\n"
	w := func(i int) string { return fmt.Sprintf("witness W%d %s\n", i, ws[i-1].vkey) }
	all6 := w(1) + w(2) + w(3) + w(4) + w(5) + w(6)

	cases := []M{}
	// quorum lists each set of witnesses (by name, separated by spaces) with whether it reaches the quorum.
	good := func(desc, file string, names []string, logs []string, quorum ...any) {
		list := []M{}
		for i := 0; i < len(quorum); i += 2 {
			set := strings.FieldsFunc(quorum[i].(string), func(r rune) bool { return r == ' ' })
			list = append(list, o("cosigned", set, "reached", quorum[i+1].(bool)))
		}
		cases = append(cases, o("desc", desc, "policy", bytesOf([]byte(file)), "logs", logs, "witnesses", names, "quorums", list))
	}
	bad := func(desc, file string, line int) {
		m := o("desc", desc, "policy", bytesOf([]byte(file)), "wantErr", "usage")
		if line > 0 {
			m = m.with("line", line)
		}
		cases = append(cases, m)
	}
	one, none := []string{logs[0].vkey}, []string{}
	six := []string{"W1", "W2", "W3", "W4", "W5", "W6"}
	good("quorum none, and nothing else", "quorum none\n", none, none, "", true)
	good("quorum none with a log", log0+"quorum none\n", none, one, "", true)
	good("quorum none with a witness that nobody demands", log0+w(1)+"quorum none\n", []string{"W1"}, one, "", true, "W1", true)
	good("one witness", log0+w(1)+"quorum W1\n", []string{"W1"}, one, "", false, "W1", true)
	good("one of two witnesses is demanded", log0+w(1)+w(2)+"quorum W2\n", []string{"W1", "W2"}, one, "", false, "W1", false, "W2", true, "W1 W2", true)
	good("no log line", w(1)+"quorum W1\n", []string{"W1"}, none, "W1", true)
	good("two logs", log0+log1+"quorum none\n", none, []string{logs[0].vkey, logs[1].vkey}, "", true)
	good("all of two", w(1)+w(2)+"group g all W1 W2\nquorum g\n", []string{"W1", "W2"}, none, "", false, "W1", false, "W2", false, "W1 W2", true)
	good("any of two", w(1)+w(2)+"group g any W1 W2\nquorum g\n", []string{"W1", "W2"}, none, "", false, "W1", true, "W2", true, "W1 W2", true)
	good("2 of 3", w(1)+w(2)+w(3)+"group g 2 W1 W2 W3\nquorum g\n", six[:3], none, "", false, "W1", false, "W3", false, "W1 W3", true, "W2 W3", true, "W1 W2 W3", true)
	good("3 of 3", w(1)+w(2)+w(3)+"group g 3 W1 W2 W3\nquorum g\n", six[:3], none, "W1 W3", false, "W1 W2 W3", true)
	good("1 of 1", w(1)+"group g 1 W1\nquorum g\n", six[:1], none, "", false, "W1", true)
	nested := all6 + "group X 2 W1 W2 W3\ngroup Y any W4 W5 W6\ngroup both all X Y\nquorum both\n"
	good("groups of groups", log0+nested, six, one, "W1 W2 W3", false, "W4 W5 W6", false, "W1 W4 W5 W6", false, "W1 W3 W5", true, "W2 W3 W6", true, "W1 W2", false)
	good("a group and a witness in one group", w(1)+w(2)+w(3)+"group X all W1 W2\ngroup g any X W3\nquorum g\n", six[:3], none, "W1", false, "W1 W2", true, "W3", true)
	good("the quorum is not the last line", w(1)+"quorum W1\n"+w(2)+log0, six[:2], one, "W1", true, "W2", false)
	good("a group that the quorum does not use", w(1)+w(2)+"group g all W1 W2\nquorum W1\n", six[:2], none, "W1", true, "W2", false)
	good("comments, empty lines, spaces and tabs", "# a policy\n\n \t \n  # more\n\t"+strings.ReplaceAll(log0, " ", "\t \t")+" witness  W1\t"+ws[0].vkey+" \n#quorum W2\nquorum\tW1\t\n", six[:1], one, "", false, "W1", true)
	good("URLs", "log "+logs[0].vkey+" https://log.example/vitrine\nwitness W1 "+ws[0].vkey+" https://witness.example/\nquorum W1\n", six[:1], one, "W1", true)
	good("names that look like rules, numbers and keywords", "witness all "+ws[0].vkey+"\nwitness 2 "+ws[1].vkey+"\nwitness quorum "+ws[2].vkey+"\ngroup any 2 all 2 quorum\nquorum any\n", []string{"all", "2", "quorum"}, none, "all", false, "all 2", true, "2 quorum", true)
	good("a # inside of a line is a name", "witness #1 "+ws[0].vkey+"\nquorum #1\n", []string{"#1"}, none, "#1", true)
	good("names beyond ASCII are octets: K and the Kelvin sign", "witness K "+ws[0].vkey+"\nwitness \u212a "+ws[1].vkey+"\nquorum \u212a\n", []string{"K", "\u212a"}, none, "K", false, "\u212a", true)
	good("a name in two forms of Unicode is two names", "witness \u00e9 "+ws[0].vkey+"\nwitness e\u0301 "+ws[1].vkey+"\nquorum \u00e9\n", []string{"\u00e9", "e\u0301"}, none, "e\u0301", false, "\u00e9", true)
	good("a no-break space does not separate", "witness a\u00a0b "+ws[0].vkey+"\nquorum a\u00a0b\n", []string{"a\u00a0b"}, none, "a\u00a0b", true)
	foreign := cosignerFrom("zeuge.example/漢字", sum([]byte("a seed")))
	good("a witness whose key has a name beyond ASCII", "witness W "+foreign.vkey+"\nquorum W\n", []string{"W"}, none, "W", true)
	many, names := "", []string{}
	for i := range 100 {
		c := testCosigner(fmt.Sprintf("m%d.example", i))
		many += fmt.Sprintf("witness m%d %s\n", i, c.vkey)
		names = append(names, fmt.Sprintf("m%d", i))
	}
	good("51 of 100", many+"group g 51 "+strings.Join(names, " ")+"\nquorum g\n", names, none, strings.Join(names[:50], " "), false, strings.Join(names[:51], " "), true, strings.Join(names[49:], " "), true)
	chain := w(1)
	for i := range 255 {
		inner := "W1"
		if i > 0 {
			inner = fmt.Sprintf("g%d", i-1)
		}
		chain += fmt.Sprintf("group g%d all %s\n", i, inner)
	}
	good("255 groups, one in the other", chain+"quorum g254\n", six[:1], none, "", false, "W1", true)

	bad("empty", "", 0)
	bad("a comment only", "# quorum none\n", 0)
	bad("no quorum line", log0+w(1), 0)
	bad("the last line is cut off", w(1)+"quorum W1", 0)
	bad("two quorum lines", w(1)+"quorum W1\nquorum none\n", 3)
	bad("the same quorum line twice", w(1)+"quorum W1\nquorum W1\n", 3)
	bad("quorum without a name", "quorum\n", 1)
	bad("quorum with two names", w(1)+w(2)+"quorum W1 W2\n", 3)
	bad("a comment behind the quorum", "quorum none # nobody\n", 1)
	bad("the quorum is not defined", log0+"quorum W1\n", 2)
	bad("the quorum is defined behind it", "quorum W1\n"+w(1), 1)
	bad("the quorum is a log's name", log0+"quorum "+origin+"\n", 2)
	bad("the quorum in other letters", w(1)+"quorum w1\n", 2)
	bad("quorum None", "quorum None\n", 1)
	bad("an unknown keyword", "quorum none\nwitnesses\n", 2)
	bad("a keyword in upper case", "QUORUM none\n", 1)
	bad("a byte order mark", "\ufeffquorum none\n", 1)
	bad("CR LF", "quorum none\r\n", 1)
	bad("a vertical tab", "quorum\vnone\n", 1)
	bad("U+007F", "# \u007f\nquorum none\n", 1)
	bad("NUL in a comment", "# \x00\nquorum none\n", 1)
	bad("log without a key", "log\nquorum none\n", 1)
	bad("log with three items", "log "+logs[0].vkey+" https://a https://b\nquorum none\n", 1)
	bad("log with a name in front", "log L "+logs[0].vkey+"\nquorum none\n", 1)
	bad("a log with a cosigner's key", "log "+ws[0].vkey+"\nquorum none\n", 1)
	bad("a log whose key id is wrong", strings.Replace(log0, hexOf(logs[0].id), "00000000", 1)+"quorum none\n", 1)
	bad("the same log twice", log0+log0+"quorum none\n", 2)
	bad("the same log key under another name", log0+"log "+keyFrom("alias.example", logs[0].seed).vkey+"\nquorum none\n", 2)
	bad("witness without a key", "witness W1\nquorum W1\n", 1)
	bad("witness without a name", "witness "+ws[0].vkey+"\nquorum none\n", 1)
	bad("witness with four items", "witness W1 "+ws[0].vkey+" https://a https://b\nquorum W1\n", 1)
	bad("a witness with a key of type 0x01", "witness W1 "+logs[1].vkey+"\nquorum W1\n", 1)
	bad("a witness with a key of type 0x06", "witness W1 "+vkeyText("x", keyID("x", 6, make([]byte, 1312)), append([]byte{6}, make([]byte, 1312)...))+"\nquorum W1\n", 1)
	bad("a witness named none", "witness none "+ws[0].vkey+"\nquorum none\n", 1)
	bad("two witnesses of one name", w(1)+strings.Replace(w(2), "W2", "W1", 1)+"quorum W1\n", 2)
	bad("the same witness under two names", w(1)+strings.Replace(w(1), "W1", "W2", 1)+"quorum W1\n", 2)
	alias := cosignerFrom("alias.example", ws[0].seed)
	bad("the same witness key under another key name", w(1)+"witness W2 "+alias.vkey+"\nquorum W1\n", 2)
	self := cosignerFrom("witness.example/self", logs[0].seed)
	bad("a log that is its own witness", log0+"witness W1 "+self.vkey+"\nquorum W1\n", 2)
	bad("a witness that is the log, the log behind it", "witness W1 "+self.vkey+"\n"+log0+"quorum W1\n", 2)
	bad("a group without members", w(1)+"group g any\nquorum g\n", 2)
	bad("a group without a rule", w(1)+"group g\nquorum g\n", 2)
	bad("a group whose rule is missing", w(1)+w(2)+"group g W1 W2\nquorum g\n", 3)
	for _, k := range []string{"0", "3", "-1", "01", "1.0", "+1", "1e0", "ALL", "2x", "9007199254740993"} {
		bad("k is "+k+" of 2", w(1)+w(2)+"group g "+k+" W1 W2\nquorum g\n", 3)
	}
	bad("a member that is not defined", w(1)+"group g any W1 W2\nquorum g\n", 2)
	bad("a member that is defined behind it", w(1)+"group g any W1 W2\n"+w(2)+"quorum g\n", 2)
	bad("a group that is its own member", w(1)+"group g any W1 g\nquorum g\n", 2)
	bad("none as a member", w(1)+"group g any W1 none\nquorum g\n", 2)
	bad("a log as a member", log0+w(1)+"group g any W1 "+origin+"\nquorum g\n", 3)
	bad("a member twice in a group", w(1)+"group g 2 W1 W1\nquorum g\n", 2)
	bad("a member of two groups", w(1)+w(2)+"group g any W1 W2\ngroup h any W2\nquorum g\n", 4)
	bad("a group named as a witness", w(1)+w(2)+"group W1 any W2\nquorum W1\n", 3)
	bad("a witness named as a group", w(1)+"group g any W1\n"+strings.Replace(w(2), "W2", "g", 1)+"quorum g\n", 3)
	bad("two groups of one name", w(1)+w(2)+"group g any W1\ngroup g any W2\nquorum g\n", 4)
	bad("a group named none", w(1)+"group none any W1\nquorum none\n", 2)
	bad("a line with an item that is not UTF-8 as a key", "witness W1 \xff+00000000+AAAA\nquorum W1\n", 1)
	over := slices.Clone(names)
	long := many
	for i := 100; i < 257; i++ {
		long += fmt.Sprintf("witness m%d %s\n", i, testCosigner(fmt.Sprintf("m%d.example", i)).vkey)
		over = append(over, fmt.Sprintf("m%d", i))
	}
	bad("257 witnesses", long+"quorum none\n", 257)
	cases = append(cases, o("desc", "262,145 bytes", "policy", []any{M{{"repeat", "#"}, {"times", 262145 - len("\nquorum none\n")}}, "\nquorum none\n"}, "wantErr", "usage"))
	return o("cases", cases)
}
