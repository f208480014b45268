"""From samples to figures, from figures to the table. Pure: takes what was measured, gives text and numbers."""

import statistics

# Figure, must, aim, how it is written. A ratio is to nginx in the same round.
ROWS = [
    ("small", "CPU/request x nginx, small", 1.6, 1.2, "ratio"),
    ("8k", "CPU/request x nginx, 8 KB", 1.8, 1.3, "ratio"),
    ("1m", "CPU/request x nginx, 1 MB", 2.0, 1.3, "ratio"),
    ("paced", "CPU/chunk x nginx, 100 paced streams", 1.4, 1.1, "ratio"),
    ("unpaced", "µs/chunk, unpaced", 3, 1, "µs"),
    ("journal", "journal beside small calls", 0.15, None, "plain"),
    ("ledger", "ledger, and what goes by time", None, None, "plain"),
    ("latency", "added p50 at 1,000/s over direct", 65, 45, "µs"),
    ("held", "KiB per held stream", 44, 28, "KiB"),
    ("idle", "idle memory", 16, 8, "MiB"),
    ("start", "start to first answer", 30, 10, "ms"),
    ("truncated", "truncated streams", 0, 0, "count"),
    ("wrong_credentials", "wrong credentials", 0, 0, "count"),
    ("lost_events", "lost events", 0, 0, "count"),
    ("failed", "refused, broken, stuck, skipped", 0, 0, "count"),
    ("few_rate", "calls/s, 8 connections / 64", None, None, "plain"),
    ("few_busiest", "busiest thread's share, 8 connections", None, None, "plain"),
    ("few_busiest_worst", "the same, worst round", None, None, "plain"),
    ("after_load", "memory after all loads", None, None, "MiB"),
    ("released", "memory after the held streams left", None, None, "MiB"),
    ("altered", "answers not byte for byte", None, None, "count"),
    ("prefixed", "calls whose model was not rewritten", None, None, "count"),
    ("extra_calls", "calls upstream beyond the driver's", None, None, "count"),
]
COLUMNS = [("keyway", "keyway"), ("bare", "bare hyper"), ("nginx", "nginx")]


def figures(samples):
    """Figure → target → value, and `kept`: of how many rounds each is the median, and whether disturbed ones had to do."""
    found, kept = {}, {}
    names = [name for name in ("nginx", "bare", "keyway") if any(sample["target"] == name for sample in samples)]
    for figure in ("small", "8k", "1m", "paced", "unpaced", "latency", "few"):
        rounds, undisturbed = good_rounds(samples, figure)
        kept[figure] = {"rounds": len(rounds), "undisturbed": undisturbed}
        for name in names:
            for key, value in of_rounds(figure, rounds, name, samples).items():
                found.setdefault(key, {})[name] = value
    fresh = [sample for sample in samples if sample["figure"] == "start"]
    quiet = {sample["target"] for sample in fresh if not sample["disturbed"]}
    kept["start"] = {"rounds": len(fresh) // len(names), "undisturbed": quiet == set(names)}
    for name in names:
        for key, value in (of_memory(samples, name) | of_mistakes(samples, name)).items():
            found.setdefault(key, {})[name] = value
    return {"values": found, "kept": kept}


def good_rounds(samples, figure):
    """Round → target → sample; a round counts if none of its samples was disturbed. If all were, they must do."""
    rounds = {}
    for sample in samples:
        if sample["figure"] == figure:
            rounds.setdefault(sample["round"], {})[sample["target"]] = sample
    good = [one for one in rounds.values() if not any(sample["disturbed"] for sample in one.values())]
    return (good, True) if good else (list(rounds.values()), False)


def of_rounds(figure, rounds, name, samples):
    """The medians of one figure for one target, paired within the round."""
    def median(of):
        values = [value for one in rounds if name in one and (value := of(one)) is not None]
        return statistics.median(values) if values else None

    def over_nginx(one):
        mine, other = one[name]["cpu_us"], one["nginx"]["cpu_us"]
        return mine / other if mine and other else None

    if figure == "latency":
        def added(one):
            mine, least = one[name]["p50_us"], one["direct"]["p50_us"]
            return mine - least if mine and least else None

        return {"latency": median(added)}
    if figure == "few":
        many = {one[name]["round"]: one[name]["per_second"] for one in good_rounds(samples, "many")[0] if name in one}
        shares = [one[name]["busiest_thread"] for one in rounds if name in one]

        def few_over_many(one):
            rate = many.get(one[name]["round"])
            return one[name]["per_second"] / rate if rate else None

        return {
            "few_rate": median(few_over_many),
            "few_busiest": median(lambda one: one[name]["busiest_thread"]),
            "few_busiest_worst": max(shares, default=None),
        }
    cpu = median(lambda one: one[name]["cpu_us"])
    found = {figure: median(over_nginx) if figure != "unpaced" else cpu, f"{figure}_us": cpu}
    if figure == "small":
        found |= {beside: median(lambda one: one[name].get(beside)) for beside in ("journal", "ledger")}
    return found


def of_memory(samples, name):
    def median(figure, key, scale=1):
        mine = [sample for sample in samples if (sample["figure"], sample["target"]) == (figure, name)]
        # Disturbed ones are left out, unless there are no others.
        good = [sample for sample in mine if not sample.get("disturbed")] or mine
        values = [sample[key] / scale for sample in good if sample[key] is not None]
        return statistics.median(values) if values else None

    return {
        "held": median("held", "kib_per_stream"),
        "idle": median("start", "idle_kib", 1024),
        "start": median("start", "start_ms"),
        "after_load": median("after", "pss_kib", 1024),
        "released": median("held", "released_kib", 1024),
    }


def of_mistakes(samples, name):
    """Sums over all samples, also disturbed ones: a busy machine excuses no lost event."""
    mine = [sample for sample in samples if sample["target"] == name and "driver" in sample]

    def driver(*keys):
        return sum(sample["driver"][key] for sample in mine for key in keys)

    def upstream(key):
        return sum(sample["upstream"][key] for sample in mine)

    return {
        "truncated": driver("truncated", "missing_usage"),
        "wrong_credentials": upstream("wrong_credentials"),
        "lost_events": driver("lost_events"),
        "failed": driver("refused", "broken", "stuck", "skipped"),
        "altered": driver("altered"),
        "prefixed": upstream("prefixed"),
        "extra_calls": upstream("requests") - driver("requests"),
    }


def mistakes(result):
    """What must be none for every target: for ours the promise, for the others the rig's own soundness."""
    values = result["figures"]["values"]
    keys = ("truncated", "wrong_credentials", "lost_events", "failed")
    return {(key, name): count for key in keys for name, count in values[key].items() if count}


def table(result):
    values = result["figures"]["values"]
    lines = [["figure", "must", "aim", *(label for _, label in COLUMNS), "met?"]]
    for key, label, must, aim, form in ROWS:
        row = values.get(key, {})
        cells = [written(row.get(name), form, values.get(f"{key}_us", {}).get(name)) for name, _ in COLUMNS]
        lines.append([mark(result, key) + label, bound(must, form), bound(aim, form), *cells, met(row.get("keyway"), must, aim)])
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    rows = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines]
    rows.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join([*rows, "", *notes(result)])


def notes(result):
    machine = result["machine"]
    streams = sorted({sample["streams"] for sample in result["samples"] if sample["figure"] == "held"})
    loads = sorted(sample["load1"] for sample in result["samples"] if "load1" in sample)
    others = sorted(sample["others_cpu"] for sample in result["samples"] if "others_cpu" in sample)
    yield f"commit {result['commit']}, {result['date']}, {result['rounds']} rounds{', quick: decides nothing' if result['quick'] else ''}"
    yield f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']} {machine['kernel']}; nginx {result['nginx']}"
    yield f"held streams: {', '.join(map(str, streams))}; load average {loads[0]:.2f} to {loads[-1]:.2f}; others' CPU at most {others[-1]:.0%} of a core"
    undisturbed = [f"{key} {kept['rounds']}" for key, kept in result["figures"]["kept"].items() if kept["undisturbed"]]
    yield f"undisturbed rounds: {', '.join(undisturbed) or 'none'}"
    if any(not kept["undisturbed"] for kept in result["figures"]["kept"].values()):
        yield "~ every round of this figure was disturbed by other work: measure again"
    for sample in result["samples"]:
        if sample.get("scrapes") is not None:
            yield f"metrics scraped {sample['scrapes']} times meanwhile"
    for sample in result["samples"]:
        if error := sample.get("driver", {}).get("first_error"):
            yield f"first error of {sample['target']} ({sample['figure']}): {error}"
            return


def mark(result, key):
    kept = result["figures"]["kept"].get(key.split("_")[0], {"undisturbed": True})
    return "" if kept["undisturbed"] else "~"


def written(value, form, cpu_us):
    if value is None:
        return "–"
    if form == "ratio":
        return f"{value:.2f} ({cpu_us:.1f} µs)"
    if form == "count":
        return f"{value:,}"
    return f"{value:.2f}" if form == "plain" or value < 10 else f"{value:.1f}"


def bound(value, form):
    if value is None:
        return "–"
    return f"{value:g}" if form in ("ratio", "count", "plain") else f"{value:g} {form}"


def met(value, must, aim):
    if value is None or must is None:
        return "–"
    return "aim" if aim is not None and value <= aim else "must" if value <= must else "NO"
