package main

import (
	"crypto/sha256"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// rebuilt is the tree made of the entries alone.
type rebuilt []tlog.Hash

func (r rebuilt) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if index >= int64(len(r)) {
			return nil, fmt.Errorf("the entries do not reach hash %d", index)
		}
		hashes[i] = r[index]
	}
	return hashes, nil
}

func rebuild(hashes []tlog.Hash) (rebuilt, error) {
	var tree rebuilt
	for n, hash := range hashes {
		more, err := tlog.StoredHashesForRecordHash(int64(n), hash, tree)
		if err != nil {
			return nil, err
		}
		tree = append(tree, more...)
	}
	return tree, nil
}

// rootOf is the root of the first entries; of none, SHA-256 of nothing (RFC 6962 section 2.1).
func rootOf(hashes []tlog.Hash) (tlog.Hash, error) {
	if len(hashes) == 0 {
		return sha256.Sum256(nil), nil
	}
	tree, err := rebuild(hashes)
	if err != nil {
		return tlog.Hash{}, err
	}
	return tlog.TreeHash(int64(len(hashes)), tree)
}

// checkRoot compares the root of the entries with the one that was signed.
func checkRoot(tree tlog.Tree, hashes []tlog.Hash) error {
	root, err := rootOf(hashes)
	if err != nil {
		return err
	}
	if root != tree.Hash {
		return fmt.Errorf("the %d entries have the root %s, and the checkpoint says %s", tree.N, root, tree.Hash)
	}
	return nil
}

// checkInclusion proves every entry from the tiles, and verifies each proof.
func checkInclusion(tree tlog.Tree, tiles tlog.HashReader, hashes []tlog.Hash) error {
	for n, hash := range hashes {
		proof, err := tlog.ProveRecord(tree.N, int64(n), tiles)
		if err != nil {
			return fmt.Errorf("entry %d: %w", n, err)
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, int64(n), hash); err != nil {
			return fmt.Errorf("entry %d: %w", n, err)
		}
	}
	return nil
}

// checkPrefix proves from the tiles that the tree of a size is a prefix, and verifies that with the root that the
// entries have.
func checkPrefix(tree tlog.Tree, tiles tlog.HashReader, size int64, hashes []tlog.Hash) error {
	root, err := rootOf(hashes[:size])
	if err != nil {
		return err
	}
	proof, err := tlog.ProveTree(tree.N, size, tiles)
	if err != nil {
		return fmt.Errorf("prefix %d: %w", size, err)
	}
	if err := tlog.CheckTree(proof, tree.N, tree.Hash, size, root); err != nil {
		return fmt.Errorf("prefix %d: %w", size, err)
	}
	return nil
}
