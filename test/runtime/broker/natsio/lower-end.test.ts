// The second client library at the lower end of the tested range: contract and example on nats-server 2.10.
// test deadline: 300 s
import "../../../support/natsio-chosen.ts";
import "../lower-end.test.ts";
