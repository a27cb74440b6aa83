export {
  BIND_COMPLETE,
  COMPLETE,
  closePortal,
  EMPTY_QUERY,
  emptyParse,
  PLACEHOLDER,
  row,
  rowDescription,
  type Shown,
  shownBy,
} from "./show.ts";
