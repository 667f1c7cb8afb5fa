"""Every command: where it is, and what `listen-edge --help` says of it."""

from __future__ import annotations

from listen_edge.cli.lazy_group import LazyCommand

COMMANDS = {
    "ablation": LazyCommand(
        "listen_edge.cli.ablation:ablation",
        "Train with positive text, + negative, + combined, + yes/no; same data, steps and seeds.",
    ),
    "alarms": LazyCommand(
        "listen_edge.cli.alarms:alarms",
        "Make alarms from their standards: OUT/audio/*.flac and OUT/meta.csv, at 16 kHz.",
    ),
    "ask": LazyCommand(
        "listen_edge.cli.ask:ask",
        "Answer questions about recordings, one line per file and question.",
    ),
    "bench": LazyCommand(
        "listen_edge.cli.bench:bench",
        "Time the stages with 1, 8 and 31 questions, start-up and peak memory.",
    ),
    "bundle": LazyCommand(
        "listen_edge.cli.bundle:bundle_group",
        "Look into bundles, verify them, pack them and get them from elsewhere.",
    ),
    "config": LazyCommand(
        "listen_edge.cli.config:config_group",
        "Check the service's configuration, show it, write one to begin with.",
    ),
    "devices": LazyCommand(
        "listen_edge.cli.devices:devices",
        "List the audio input devices, with the rates that each accepts.",
    ),
    "doctor": LazyCommand(
        "listen_edge.cli.doctor:doctor",
        "Check this device, its microphone and a bundle; exit with 1 if there is a problem.",
    ),
    "eval": LazyCommand(
        "listen_edge.cli.eval:eval_group",
        "Measure a bundle's answers, or another system's, on benchmarks.",
    ),
    "events": LazyCommand(
        "listen_edge.cli.events:events_group",
        "Look at what a service has heard, and use what its users said of it.",
    ),
    "export": LazyCommand(
        "listen_edge.cli.export:export_group",
        "Turn trained parts into what a device runs.",
    ),
    "hear": LazyCommand(
        "listen_edge.cli.hear:hear",
        "Tell what is heard in recordings or at a microphone, out of the bundle's vocabulary.",
    ),
    "mic": LazyCommand(
        "listen_edge.cli.mic:mic",
        "Listen to a microphone and tell what is heard, until stopped.",
    ),
    "mine": LazyCommand(
        "listen_edge.cli.mine:mine",
        "Keep what the bundle wrongly hears in HOURS, recordings without the sounds asked about.",
    ),
    "replay": LazyCommand(
        "listen_edge.cli.replay:replay",
        "Listen to recordings as if they were played to a microphone: the same code, every window.",
    ),
    "report": LazyCommand(
        "listen_edge.cli.report:report",
        "Draw what a scan heard, or how training runs went.",
    ),
    "scan": LazyCommand(
        "listen_edge.cli.scan:scan",
        "Hear any number of recordings, and write tables (parquet) of what is in them.",
    ),
    "service": LazyCommand(
        "listen_edge.cli.service:service_group",
        "Run `watch` as a systemd service, for months.",
    ),
    "synthesize": LazyCommand(
        "listen_edge.cli.synthesize:synthesize",
        "Write positive, negative and combined text and questions about recordings, as JSONL "
        "shards.",
    ),
    "tag": LazyCommand(
        "listen_edge.cli.tag:tag",
        "Write what a tagger hears in the recordings below FOLDER: probabilities of its classes.",
    ),
    "test-fire": LazyCommand(
        "listen_edge.cli.test_fire:test_fire",
        "Send a test event through every output of the service; exit with 1 if one failed.",
    ),
    "train": LazyCommand(
        "listen_edge.cli.train:train",
        "Train an adapter: warm start, then texts and questions through the frozen LLM.",
    ),
    "train-head": LazyCommand(
        "listen_edge.cli.train_head:train_head",
        "Train an adapter and a head that answers any number of questions about a window at once.",
    ),
    "tune": LazyCommand(
        "listen_edge.cli.tune:tune",
        "Find each question's threshold for a wanted rate of false alarms, and what it then hears.",
    ),
    "watch": LazyCommand(
        "listen_edge.cli.watch:watch",
        "Listen to many sources for many sounds, keep events and tell of them, until stopped.",
    ),
}
