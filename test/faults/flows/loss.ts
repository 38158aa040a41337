// One of the flows of loss-flows.ts, for the command line.
import { lossFlow, type LossName } from "../loss-flows.ts";

const { MILLRACE_TEST_FOLDER = ".", MILLRACE_TEST_FLOW = "sums" } = process.env;

export default lossFlow(MILLRACE_TEST_FLOW as LossName, { folder: MILLRACE_TEST_FOLDER });
