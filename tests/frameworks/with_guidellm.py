"""guidellm: benchmarks of a few requests, by the routes that it asks. It counts by the usage in each event of a stream."""

import json
import os
import subprocess
import tempfile

from reciting import ALPHABET, byte_texts
from rig import DEADLINE

REQUESTS = 6
PROMPTS = "".join(f"Tell me thing number {i}\n" for i in range(REQUESTS))


def write_tokenizer(directory):
    """The tokenizer of the models, as a token for each byte, in the files of transformers."""
    pieces = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    vocabulary = {text: i for i, text in enumerate(byte_texts())}
    model = {"type": "BPE", "vocab": vocabulary, "merges": []}
    tokenizer = {"version": "1.0", "added_tokens": [], "pre_tokenizer": pieces, "decoder": pieces, "model": model}
    for name, content in (
        ("tokenizer.json", tokenizer),
        ("tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"}),
    ):
        with open(os.path.join(directory, name), "w") as f:
            json.dump(content, f)


def benchmark(served, directory, route, *options):
    """The benchmark's requests, by how they ended, and its metrics."""
    report = os.path.join(directory, "report.json")
    backend = f"kind=openai_http,target={served.base.removesuffix('/v1')},model=tiny,api_key={served.key}"
    command = [os.environ["GUIDELLM"], "run", "--backend", f"{backend},max_tokens=64,request_format={route}", "--disable-console"]
    command += ["--profile", "kind=concurrent,streams=3", "--constraint", f"kind=max_requests,count={REQUESTS}"]
    command += ["--output", f"kind=json,path={report}", *options]
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, env=offline)
    assert done.returncode == 0, done.stderr[-600:]
    with open(report) as f:
        (measured,) = json.load(f)["benchmarks"]
    return measured["requests"], measured["metrics"]


def measures(served, route):
    with tempfile.TemporaryDirectory() as directory:
        prompts = os.path.join(directory, "prompts.txt")
        with open(prompts, "w") as f:
            f.write(PROMPTS)
        requests, metrics = benchmark(served, directory, route, "--data", f"kind=text_file,path={prompts}")
    errors = [r["info"]["error"] for r in requests["errored"]]
    assert len(requests["successful"]) == REQUESTS and not errors, errors[:1]
    for r in requests["successful"]:
        assert r["output"] == ALPHABET, r["output"]
        assert r["output_tokens"] == len(ALPHABET) + 1 and r["prompt_tokens"] > 20, r
        assert r["info"]["timings"]["token_iterations"] > 1, r
    assert metrics["time_to_first_token_ms"]["successful"]["mean"] > 0
    assert metrics["inter_token_latency_ms"]["successful"]["mean"] > 0


def test_guidellm_measures_chats(served):
    measures(served, "/v1/chat/completions")


def test_guidellm_measures_responses(served):
    measures(served, "/v1/responses")


def test_guidellm_measures_answers_of_a_given_length(served):
    """Prompts of its own making, and answers that do not end before their length."""
    with tempfile.TemporaryDirectory() as directory:
        write_tokenizer(directory)
        requests, _ = benchmark(
            served,
            directory,
            "/v1/completions",
            "--data",
            "kind=synthetic_text,prompt_tokens=64,output_tokens=40",
            "--tokenizer",
            f"kind=hf_auto,model={directory}",
        )
    errors = [r["info"]["error"] for r in requests["errored"]]
    assert len(requests["successful"]) == REQUESTS and not errors, errors[:1]
    assert {r["output_tokens"] for r in requests["successful"]} == {40}
    assert {r["prompt_tokens"] for r in requests["successful"]} == {64}


test_guidellm_measures_responses.route = "/v1/responses"
