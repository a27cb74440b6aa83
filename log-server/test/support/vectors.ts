import { existsSync, readFileSync } from "node:fs";

// Reads spec/vectors, whose README says what the forms are.

const FOLDER = new URL("../../../../spec/vectors/", import.meta.url);

export type Bytes = string | { base64: string } | { repeat: Bytes; times: number } | Bytes[];

export function bytesOf(value: Bytes): Buffer {
  if (typeof value === "string") return Buffer.from(value);
  if (Array.isArray(value)) return Buffer.concat(value.map(bytesOf));
  if ("base64" in value) return Buffer.from(value.base64, "base64");
  return Buffer.concat(Array.from({ length: value.times }, () => bytesOf(value.repeat)));
}

export function hasVectors(file: string): boolean {
  return existsSync(new URL(file, FOLDER));
}

/** @returns the file's JSON object, of which the caller knows the form. */
export function vectors<T>(file: string): T {
  return JSON.parse(readFileSync(new URL(file, FOLDER), "utf8")) as T;
}
