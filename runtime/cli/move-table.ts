// What planned moves cost, for people.
import type { MoveReceipt, Pauses } from "../node/move-receipt.ts";
import { type Column, table } from "./table.ts";
import { type Terminal, wrapped } from "./terminal.ts";
import { count, several } from "./words.ts";

const columns: readonly Column[] = [
  { title: "actor", least: 12 }, { title: "from", least: 4, spare: 4 }, { title: "to", least: 4 }, { title: "paused", align: "right" },
  { title: "in flight", align: "right", spare: 2 }, { title: "sent again", align: "right", spare: 3 }, { title: "lost", align: "right", spare: 1 },
];

const known = (n: number | null): string => (n === null ? "?" : count(n));

/** Lines without a line break at the end. */
export function moveText(receipt: MoveReceipt, { columns: width, colors }: Terminal): string {
  const { actors } = receipt, rows = actors.map((one) => [one.actor, one.from, one.to, `${count(one.pauseMs)} ms`, known(one.inFlight), known(one.sentAgain), known(one.lost)]);
  return [
    table(columns, rows, width - 1, { head: (text) => colors.dim(text) }),
    ...sumsOf(receipt),
    ...wrapped("Paused: from when the old node was asked to stop an actor, which worked until then, to when it took events on the new one. In flight: what waited in its mailboxes at that moment.", width - 1, 5),
  ].join("\n");
}

/** Of actors that went over to another code where they are. */
export function upgradeText(receipt: MoveReceipt, { columns: width, colors }: Terminal): string {
  const rows = receipt.actors.map((one) => [one.actor, one.to, `${count(one.pauseMs)} ms`, known(one.inFlight), known(one.sentAgain), known(one.lost)]);
  return [
    table(columns.filter(({ title }) => title !== "from").map((column) => (column.title === "to" ? { ...column, title: "node" } : column)), rows, width - 1, { head: (text) => colors.dim(text) }),
    ...sumsOf(receipt),
    ...wrapped("Paused: from when an actor was told to stop, to when it took events with the other code. In flight: what waited in its mailboxes at that moment.", width - 1, 5),
  ].join("\n");
}

/** Of several. */
export function pausesText({ median, most }: Pauses): string {
  return `${count(median)} ms in the middle, ${count(most)} ms at most`;
}

function sumsOf({ actors, moved, pauseMs, inFlight, sentAgain, lost }: MoveReceipt): readonly string[] {
  const unknown = actors.filter(({ lost: its }) => its === null).length, alone = actors.filter(({ compared, lost: its }) => !compared && its !== null).length;
  return [
    `  moved       ${several(moved, "actor")}`,
    `  paused      ${moved === 1 ? `${count(pauseMs.most)} ms` : pausesText(pauseMs)}`,
    `  in flight   ${several(inFlight, "frame")}`,
    `  sent again  ${several(sentAgain, "frame")}`,
    `  lost        ${count(lost)}${unknown === 0 ? "" : `; not counted of ${several(unknown, "actor")}: NATS could not be asked`}${alone === 0 ? "" : `; of ${several(alone, "actor")} only in the mailboxes: the old node does not tell any more`}`,
  ];
}
