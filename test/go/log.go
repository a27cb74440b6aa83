package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

// A log, read over HTTP or from a folder, with the tiles that were authenticated.
type log struct {
	url    string
	client *http.Client
	tiles  map[tlog.Tile][]byte
}

func newLog(url string) *log {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.RegisterProtocol("file", http.NewFileTransport(http.Dir("/")))
	return &log{url: strings.TrimRight(url, "/"), client: &http.Client{Transport: transport}, tiles: map[tlog.Tile][]byte{}}
}

func (l *log) get(path string) ([]byte, error) {
	answer, err := l.client.Get(l.url + "/" + path)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s: %.200q", path, answer.Status, body)
	}
	return body, nil
}

// checkpoint reads what the log has signed (C2SP tlog-checkpoint).
func (l *log) checkpoint(verifier note.Verifier) (tlog.Tree, error) {
	body, err := l.get("checkpoint")
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open(body, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("not a checkpoint of %s: %q", verifier.Name(), opened.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return tlog.Tree{}, fmt.Errorf("not a size: %q", lines[1])
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return tlog.Tree{}, err
	}
	return tlog.Tree{N: size, Hash: root}, nil
}

// path of a tile: as Go's checksum database has it, without the height (C2SP tlog-tiles).
func path(tile tlog.Tile) string {
	return strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", height), "tile/", 1)
}

func (l *log) Height() int { return height }

// ReadTiles implements tlog.TileReader: what it returns is not yet authenticated.
func (l *log) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	read := make([][]byte, len(tiles))
	for i, tile := range tiles {
		if known, ok := l.tiles[tile]; ok {
			read[i] = known
			continue
		}
		body, err := l.get(path(tile))
		if err != nil {
			return nil, err
		}
		read[i] = body
	}
	return read, nil
}

// SaveTiles implements tlog.TileReader: it is told which tiles were authenticated.
func (l *log) SaveTiles(tiles []tlog.Tile, data [][]byte) {
	for i, tile := range tiles {
		l.tiles[tile] = data[i]
	}
}

func (l *log) fetched() int { return len(l.tiles) }

// entryHashes reads every entry bundle, and hashes the entries.
func (l *log) entryHashes(size int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, 0, size)
	for n := int64(0); n*256 < size; n++ {
		width := min(256, size-n*256)
		// The path of the tile of leaf hashes beside it, with another level.
		tile := tlog.Tile{H: height, L: 0, N: n, W: int(width)}
		name := strings.Replace(path(tile), "tile/0/", "tile/entries/", 1)
		bundle, err := l.get(name)
		if err != nil {
			return nil, err
		}
		for i := int64(0); i < width; i++ {
			entry, rest, err := cut(bundle)
			if err != nil {
				return nil, fmt.Errorf("%s, entry %d: %w", name, i, err)
			}
			hashes = append(hashes, tlog.RecordHash(entry))
			bundle = rest
		}
		if len(bundle) != 0 {
			return nil, fmt.Errorf("%s has %d bytes behind its %d entries", name, len(bundle), width)
		}
	}
	return hashes, nil
}

func cut(bundle []byte) (entry, rest []byte, err error) {
	if len(bundle) < 2 {
		return nil, nil, errors.New("the bundle ends before it")
	}
	end := 2 + int(binary.BigEndian.Uint16(bundle))
	if end > len(bundle) {
		return nil, nil, errors.New("the bundle ends inside it")
	}
	return bundle[2:end], bundle[end:], nil
}
