import { Emitter } from "../../runtime/actor/emitter.ts";
const o = Emitter.prototype.deadLetter; let n = 0;
Emitter.prototype.deadLetter = function (...a) { if (n++ < 2) console.log(a); return o.apply(this, a); };
await import("./zz-dbg.ts");
