"""What trackers and trainers call the columns of a table, and what to do about one that is missing. No pandas."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from jaxlaws.inputs import input_of, logged_inputs
from jaxlaws.records.columns import COLUMNS, METRIC, TARGET, declared, is_column, target_of
from jaxlaws.text import printable, quoted

#: Our name → what others call the column, compared without case and separators. The first line of which a table has a
#: name decides; two columns of one line with different values are a question. `params` is N with or without embeddings.
ALIASES: Mapping[str, tuple[str, ...]] = {
    "run_id": (
        "run_name name run runname display_name experiment_name exp_name experiment trial trial_name mlflow.runName",
        "id run_uuid sys/id experiment_key experiment_id trial_id",
    ),
    "status": ("state run_state run_status sys/state",),
    "model": ("model_name",),
    "parameterisation": ("parameterization parametrisation parametrization",),
    "params_nonembedding": (
        "non_embedding_params nonembedding_parameters non_embedding_parameters params_no_embed params_nonemb n_nonemb "
        "n_nonembedding n_non_embedding num_nonembedding_params num_non_embedding_params n_params_non_embedding "
        "num_params_non_embedding non_embedding_size params_without_embeddings",
    ),
    "params_total": (
        "total_params total_parameters n_params_total num_params_total num_total_params total_num_params n_total "
        "trainable_params trainable_parameters num_trainable_params n_trainable_params params_with_embeddings",
    ),
    "params": (
        "n_params num_params n_parameters num_parameters parameters param_count parameter_count params_count "
        "model_params model_parameters model_size n number_of_parameters",
    ),
    "tokens": (
        "tokens_seen total_tokens train_tokens training_tokens n_tokens num_tokens tokens_total tokens_trained "
        "n_train_tokens num_train_tokens n_training_tokens consumed_tokens tokens_consumed tokens_processed "
        "train/tokens train/tokens_seen throughput/total_tokens token_budget dataset_tokens num_tokens_seen "
        "num_input_tokens_seen d",
    ),
    "steps": (
        "max_steps total_steps num_steps n_steps train_steps training_steps num_train_steps num_training_steps "
        "max_iters total_iters n_iters num_iterations total_iterations iterations",
        "step global_step trainer/global_step train/global_step iteration iter",
    ),
    "seq_len": (
        "seqlen seq_length sequence_length context_length context_len context_size context ctx ctx_len n_ctx "
        "block_size max_seq_len max_seq_length max_sequence_length n_positions max_position_embeddings",
    ),
    "batch_tokens": (
        "tokens_per_step tokens_per_batch tokens_per_update tokens_per_iter tokens_per_iteration batch_size_tokens "
        "batch_size_in_tokens global_batch_tokens global_batch_size_tokens global_batch_size_in_tokens "
        "total_batch_tokens train_batch_tokens",
    ),
    "batch_sequences": (
        "bs batch_size batchsize global_batch_size global_batch train_batch_size effective_batch_size "
        "batch_size_sequences global_train_batch_size total_train_batch_size total_batch_size gbs sequences_per_step",
    ),
    "peak_lr": (
        "lr learning_rate max_lr base_lr initial_lr init_lr lr_peak lr_max max_learning_rate peak_learning_rate "
        "learning_rate_peak base_learning_rate optimizer.lr optim.lr optimizer.learning_rate",
    ),
    "final_lr": ("min_lr lr_min end_lr lr_end final_learning_rate min_learning_rate lr_final eta_min",),
    "warmup_steps": (
        "warmup_iters num_warmup_steps n_warmup_steps lr_warmup_steps lr_warmup_iters warmup_iterations warmup",
    ),
    "warmup_fraction": ("warmup_ratio warmup_frac lr_warmup_fraction warmup_proportion",),
    "schedule": ("lr_schedule lr_scheduler lr_scheduler_type scheduler lr_decay_style schedule_type",),
    "cooldown_fraction": ("decay_fraction decay_frac cooldown_frac",),
    "optimizer": ("optim opt optimiser optimizer_name optim_name optimizer_type optimizer.name optim.name",),
    "weight_decay": ("wd weightdecay optimizer.weight_decay",),
    "beta1": ("beta_1 adam_beta1 b1 adam_b1",),
    "beta2": ("beta_2 adam_beta2 b2 adam_b2",),
    "clip": ("grad_clip gradient_clip max_grad_norm clip_grad clip_grad_norm gradient_clip_val gradient_clipping",),
    "seed": ("random_seed rng_seed",),
    "corpus": ("dataset dataset_name data_name",),
    "vocab": ("vocab_size n_vocab vocabulary_size",),
    "width": ("d_model n_embd hidden_size model_dim embed_dim emb_dim embedding_dim",),
    "untied": ("untied_embeddings",),
    "val_loss_nats": (
        "val_loss eval_loss validation_loss valid_loss test_loss dev_loss final_val_loss final_eval_loss val_ce "
        "eval_ce val_nll validation_ce val_cross_entropy eval_cross_entropy validation_cross_entropy loss_val "
        "loss_eval val_lm_loss eval_lm_loss",
    ),
    "loss_nats": ("loss", "final_loss ce cross_entropy cross_entropy_loss nll lm_loss"),
    "smooth_loss_nats": ("smooth_loss smoothed_loss",),
    "train_loss_nats": (
        "train_loss training_loss train_ce train_lm_loss final_train_loss loss_train train_cross_entropy train_nll",
    ),
    "flops_budget": ("compute_budget flop_budget",),
}
#: The same for a table with a row a step, where `lr` is that of the step and `loss` the loss after it.
ALONG: Mapping[str, tuple[str, ...]] = {
    "step": (
        "global_step trainer/global_step train/global_step iteration iter train_step training_step",
        "iterations update updates it n_iter",
    ),
    "lr": (
        "learning_rate train/lr train/learning_rate optim/lr optim/learning_rate optim/learning_rate_group0 "
        "optimizer/lr optimizer/learning_rate lr-adamw lr-adam lr-adamw/pg1 lr-adam/pg1 opt/lr current_lr train_lr",
    ),
    "loss": (
        "loss_nats val_loss_nats",
        *ALIASES["val_loss_nats"],
        *ALIASES["loss_nats"][1:],
        *ALIASES["smooth_loss_nats"],
        *ALIASES["train_loss_nats"],
        "value",
    ),
}
#: Columns of a table with a row a step.
LONG_COLUMNS = ("run_id", "step", "lr", "loss")
#: Columns that are no columns of `Runs`, from which others are computed.
MADE_FROM = ("params", "warmup_fraction", "width", "untied")
#: Settings that the last part of a name such as `trainer.optim.lr` identifies too.
NESTED = (
    *("peak_lr", "final_lr", "weight_decay", "beta1", "beta2", "seq_len", "batch_sequences", "batch_tokens", "vocab"),
    *("warmup_steps", "warmup_fraction", "width", "clip", "seed", "params_nonembedding", "params_total", "params"),
)
#: Losses, one of which is the main one.
LOSSES = ("val_loss_nats", "loss_nats", "loss", "train_loss_nats", "smooth_loss_nats")
#: Quantity → parts of names that suggest it, for columns that nothing reads.
_HINTS = {
    "loss": re.compile(r"loss|(?:^|[^a-z])ce(?:$|[^a-z])|entropy|nll", re.I),
    "params": re.compile(r"param|(?:^|[_/ .])size", re.I),
    "tokens": re.compile(r"token", re.I),
    "lr": re.compile(r"(?:^|[^a-z])lr|learning|(?:^|[^a-z])eta(?:$|[^a-z])", re.I),
    "batch": re.compile(r"batch|(?:^|[^a-z])bs(?:$|[^a-z])", re.I),
    "step": re.compile(r"step|iter", re.I),
}
#: (missing column, column of the table) → how the user states the rest from which it is computed.
_MADE = {
    ("batch_tokens", "batch_sequences"): "say how long a sequence is with --set seq_len=2048",
    ("batch_tokens", "tokens"): "say the steps of the runs with --map steps=NAME, or --set batch_tokens=…",
    ("params_nonembedding", "params_total"): "take off the embeddings with --set vocab=… --set width=…",
}


def remedy(missing: str, present: Collection[str], unknown: Sequence[str]) -> str:
    """What to do about a column that is missing: a clause without a final stop.

    Args:
      missing: our name of the column.
      present: our columns that are there.
      unknown: columns of the file that nothing reads, among which it may be.
    """
    if not is_column(missing) and missing not in our_names():
        if missing in unknown:
            return f"read it as one of ours, such as --map {quoted(f'group={missing}')}, and give that"
        return "give one of those"
    answer = next((how for (ours, need), how in _MADE.items() if ours == missing and need in present), "")
    hint = next((hint for word, hint in _HINTS.items() if word in missing.split("_")), None)
    alike = [name for name in unknown if hint is not None and hint.search(name)]
    flag = "loss" if missing in LOSSES else missing
    value = f", or say what every run has with --set {missing}=…" if input_of(missing) in declared() else ""
    if alike:
        names = ", ".join(printable(name)[:60] for name in alike[:4]) + (", …" if len(alike) > 4 else "")
        answer = f"{answer}, or " if answer else ""
        return f"{answer}name it, which may be {names}, such as --map {quoted(f'{flag}={alike[0]}')}{value}"
    return answer or f"name it with --map {flag}=NAME{value}"


def is_loss(ours: str) -> bool:
    """Whether one of our columns is a loss or a metric, where the word NaN is no empty cell."""
    return ours in LOSSES or target_of(ours) is not None


def our_names() -> tuple[str, ...]:
    """What `--map` and `--set` may name, with NAME for any word."""
    several = [f"{row.column}.NAME" if row.many else row.column for row in declared()]
    return (*COLUMNS, *LONG_COLUMNS, *MADE_FROM, *several, f"{TARGET}NAME", f"{METRIC}NAME")


def is_ours(name: str) -> bool:
    """Whether `--map` and `--set` may name it."""
    return is_column(name) or name in (*LONG_COLUMNS, *MADE_FROM, *(row.column for row in logged_inputs()))
