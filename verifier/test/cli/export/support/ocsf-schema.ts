/** Holds events against the part of OCSF 1.8.0 that stands beside this file. */
import { readFileSync } from "node:fs";

type Attribute = {
  type: string;
  enum?: number[];
  required?: boolean;
  array?: boolean;
  profile?: string;
};
type Shape = { attributes: Record<string, Attribute>; at_least_one?: string[] };
type Schema = { version: string; classes: Record<string, Shape>; objects: Record<string, Shape> };

const schema = JSON.parse(
  readFileSync(new URL("../../../../../test/cli/export/support/ocsf-1.8.0.json", import.meta.url), "utf8"),
) as Schema;

/** @returns what is wrong with the event; nothing when it is one of OCSF's */
export function wrongWith(event: Record<string, unknown>): string[] {
  const shape = schema.classes[String(event.class_uid)];
  if (shape === undefined) return [`there is no class ${String(event.class_uid)}`];
  const { profiles = [], version } = (event.metadata ?? {}) as { profiles?: string[]; version?: string };
  const wrong = checkShape(event, shape, "", profiles);
  if (version !== schema.version) wrong.push(`the version is ${String(version)}`);
  if (event.type_uid !== Number(event.class_uid) * 100 + Number(event.activity_id)) wrong.push("type_uid");
  return wrong;
}

function checkShape(value: Record<string, unknown>, shape: Shape, path: string, profiles: string[]): string[] {
  const { attributes, at_least_one: some } = shape;
  const wrong: string[] = [];
  for (const [name, { required }] of Object.entries(attributes)) {
    if (required && value[name] === undefined) wrong.push(`${path}${name} is missing`);
  }
  if (some?.every((name) => value[name] === undefined)) wrong.push(`${path} has none of ${some.join(", ")}`);
  for (const [name, member] of Object.entries(value)) {
    const attribute = attributes[name];
    const place = `${path}${name}`;
    if (attribute === undefined) wrong.push(`${place} is no attribute`);
    else if (attribute.profile !== undefined && !profiles.includes(attribute.profile)) {
      wrong.push(`${place} is of the profile ${attribute.profile}, which is not named`);
    } else if (attribute.array) {
      if (!Array.isArray(member)) wrong.push(`${place} is not an array`);
      else for (const one of member) wrong.push(...checkValue(one, attribute, place, profiles));
    } else wrong.push(...checkValue(member, attribute, place, profiles));
  }
  return wrong;
}

function checkValue(value: unknown, { type, enum: ids }: Attribute, place: string, profiles: string[]): string[] {
  if (type.startsWith("object:")) {
    const shape = schema.objects[type.slice("object:".length)]!;
    return typeof value === "object" && value !== null
      ? checkShape(value as Record<string, unknown>, shape, `${place}.`, profiles)
      : [`${place} is not an object`];
  }
  const fits: Record<string, (value: unknown) => boolean> = {
    object: (one) => typeof one === "object" && one !== null,
    integer_t: Number.isSafeInteger,
    long_t: Number.isSafeInteger,
    string_t: (one) => typeof one === "string",
    boolean_t: (one) => typeof one === "boolean",
  };
  if (!fits[type]!(value)) return [`${place} is not a ${type}: ${JSON.stringify(value)}`];
  return ids === undefined || ids.includes(value as number) ? [] : [`${place} is not in its list: ${String(value)}`];
}
