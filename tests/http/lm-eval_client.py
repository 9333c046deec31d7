"""Scores and writes with EleutherAI's evaluation harness, which asks berth for tokens and for log probabilities.

The model recites, so the harness finds every right answer. The data are in files here: nothing is fetched.
"""

import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from reciting import write_model  # noqa: E402
from rig import Berth  # noqa: E402

KEY = "the-key"
os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "OPENAI_API_KEY": KEY, "TOKENIZERS_PARALLELISM": "false"}

CHOICES = """
task: letters
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{text}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{gold}}}}"
target_delimiter: ""
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
"""
WRITES = """
task: writes
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: generate_until
generation_kwargs: {{until: ["."], max_gen_toks: 40, temperature: 0}}
doc_to_text: "{{{{text}}}}"
doc_to_target: "{{{{rest}}}}"
target_delimiter: ""
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true}}]
"""


def write_tasks(directory):
    data = os.path.join(directory, "data.json")
    letters = "abcdefghijklmnopqrstuvwxyz"
    with open(data, "w") as f:
        for i in range(3, 23):
            row = {"text": letters[:i], "choices": [letters[i : i + 2], letters[i + 1], "q"], "gold": 0, "rest": letters[i:]}
            f.write(json.dumps(row) + "\n")
    for name, task in (("letters", CHOICES), ("writes", WRITES)):
        with open(os.path.join(directory, f"{name}.yaml"), "w") as f:
            f.write(task.format(data=data))


def evaluate(server, directory):
    import lm_eval
    from lm_eval.tasks import TaskManager

    return lm_eval.simple_evaluate(
        model="local-completions",
        model_args={
            "model": "tiny",
            "base_url": f"http://127.0.0.1:{server.port}/v1/completions",
            "tokenizer_backend": "remote",
            "num_concurrent": 1,
            "max_length": 512,
            "auth_token": KEY,
        },
        tasks=["letters", "writes"],
        task_manager=TaskManager(include_path=directory, include_defaults=False),
        bootstrap_iters=0,
        log_samples=False,
    )["results"]


def main():
    with tempfile.TemporaryDirectory() as directory:
        models, tasks = os.path.join(directory, "models"), os.path.join(directory, "tasks")
        os.mkdir(models)
        os.mkdir(tasks)
        os.environ["HF_HOME"] = os.path.join(directory, "cache")
        write_model(os.path.join(models, "tiny.gguf"), context=512)
        write_tasks(tasks)
        with open(os.path.join(directory, "keys"), "w") as f:
            f.write(KEY + "\n")
        server = Berth(sys.argv[1], models, "--api-key-file", os.path.join(directory, "keys"))
        server.wait_until_ready("/readyz")
        failed = 0
        try:
            results = evaluate(server, tasks)
            for task, metric in (("letters", "acc,none"), ("writes", "exact_match,none")):
                good = results[task][metric] == 1.0
                print(f"{'ok' if good else 'FAILED'}: {task}: {metric.split(',')[0]} is {results[task][metric]}")
                failed += not good
        except Exception as e:  # noqa: BLE001: whatever it is, it is told
            print(f"FAILED: {type(e).__name__}: {e}")
            failed += 1
        finally:
            status = server.stop()
        if status != 0:
            print(f"FAILED: berth ended with {status}")
            failed += 1
    print(f"{3 - failed if failed < 3 else 0} passed, {failed} failed, 0 skipped")
    sys.exit(failed > 0)


main()
