// Imported first: what follows in this process, and in those that it starts, connects by @nats-io/transport-node.
process.env["MILLRACE_NATS_CLIENT"] = "natsio";
