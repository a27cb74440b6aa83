// Command logcheck reads a log as any client of C2SP tlog-tiles would, with Go's own implementation of transparency
// logs and of nothing of Vitrine's. It verifies the checkpoint's signature, authenticates every tile against it, and
// checks that each entry is in the tree and that the tree of every size asked for is a prefix of it.
//
//	logcheck -url http://127.0.0.1:6962 -vkey log.example/x+… [-sizes 1,256]
//
// It prints one line and exits with 0, or says what is wrong and exits with 1.
package main

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	url := flag.String("url", "", "the log's URL, or file:///folder")
	vkey := flag.String("vkey", "", "the log's verifier key")
	sizes := flag.String("sizes", "", "sizes whose trees must be prefixes, separated by commas; all that are below the log's are checked")
	flag.Parse()
	if err := run(*url, *vkey, *sizes); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(url, vkey, sizes string) error {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return fmt.Errorf("the key: %w", err)
	}
	log := newLog(url)
	tree, err := log.checkpoint(verifier)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	hashes, err := log.entryHashes(tree.N)
	if err != nil {
		return err
	}
	if err := checkRoot(tree, hashes); err != nil {
		return err
	}
	tiles := tlog.TileHashReader(tree, log)
	if err := checkInclusion(tree, tiles, hashes); err != nil {
		return err
	}
	checked := 0
	for _, text := range strings.FieldsFunc(sizes, func(r rune) bool { return r == ',' }) {
		size, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("-sizes: %w", err)
		}
		if size < 1 || size > tree.N {
			continue
		}
		if err := checkPrefix(tree, tiles, size, hashes); err != nil {
			return err
		}
		checked++
	}
	fmt.Printf("verified %d entries, %d prefixes, %d tiles, root %s\n", tree.N, checked, log.fetched(), tree.Hash)
	return nil
}
