"""What people call things elsewhere and what they are called here: suggestions where spelling cannot help."""

from __future__ import annotations

#: Names of one key in other trainers, lower case without `_` and `-` → the key here, or a remark where there is none.
_KEYS = {
    "optimizer.peak_lr": "lr learningrate maxlr peaklr baselr initlr maxlearningrate peaklearningrate eta stepsize",
    "optimizer.weight_decay": "wd weightdecay decay l2 lambda",
    "optimizer.clip": "gradclip gradclipnorm clipgrad clipgradnorm maxgradnorm gradientclipping gradnorm clipnorm",
    "optimizer.beta1": "b1 adambeta1 betas",
    "optimizer.beta2": "b2 adambeta2",
    "optimizer.eps": "epsilon adamepsilon adameps",
    "optimizer.ema": "emadecay",
    "optimizer.init_scale": "initstd init initializerrange",
    "optimizer": "optim optimiser opt optimizername",
    "batch_sequences": "bs batchsize batch globalbatchsize trainbatchsize gbs microbatchsize "
    "perdevicetrainbatchsize numsequences",
    "batch_tokens": "tokensperbatch tokensperstep batchsizetokens batchsizeintokens tokensbatch",
    "data.seq_len": "seqlen seqlength sequencelength contextlength ctx ctxlen contextsize context blocksize "
    "maxseqlen maxlength nctx",
    "data.vocab": "vocabsize nvocab numembeddings",
    "data.path": "dataset datapath datasetpath datadir file files",
    "tokens": "maxtokens numtokens traintokens totaltokens ntokens tokensseen budget",
    "steps": "maxsteps numsteps trainsteps totalsteps numtrainsteps iters maxiters niters iterations numiterations "
    "updates",
    "schedule": "scheduler lrscheduler lrschedule schedulername lrschedulertype",
    "schedule.warmup_steps": "warmup warmupsteps warmupiters warmuptokens numwarmupsteps lrwarmup",
    "schedule.warmup_fraction": "warmupratio warmupfraction warmupfrac warmuppct warmuppercent",
    "schedule.floor": "minlrratio finallrratio minlrfraction alpha",
    "schedule.floor_lr": "minlr finallr endlr lrmin etamin minlearningrate",
    "schedule.cooldown": "decaysteps cooldownsteps decayfraction cooldownfraction decayratio fracdecay",
    "schedule.shape": "decaytype cooldowntype decayshape decaystyle",
    "model.width": "dmodel hiddensize hiddendim nembd embeddim embeddingdim dim modeldim dimension",
    "model.depth": "nlayers nlayer numlayers layers numhiddenlayers",
    "model.heads": "nheads nhead numheads numattentionheads",
    "model.kv_heads": "nkvheads numkvheads numkeyvalueheads nkvhead",
    "model.mlp_width": "dff ffndim intermediatesize ffnhiddensize mlpdim ffdim mlphidden",
    "model.dtype": "precision mixedprecision dtype bf16 fp16 fp32 amp",
    "model.rope_base": "ropetheta theta",
    "model.tied": "tieembeddings tiewordembeddings weighttying",
    "model.parameterisation": "parametrization parameterization mup usemup",
    "model.base_width": "mupbasewidth basewidth",
    "model": "params nparams modelsize size numparams modelname",
    "eval.every": "evalinterval evalsteps evalevery evalfreq valinterval valcheckinterval",
    "eval.sequences": "evalbatches evaliters valsequences",
    "seed": "randomseed rngseed manualseed",
    "sweep.replicates": "seeds nseeds numseeds repeats",
    "engine.accumulate": "gradientaccumulationsteps gradaccumsteps gradaccum accumulation accumulationsteps",
    "engine.remat": "gradientcheckpointing activationcheckpointing checkpointing",
    "engine.checkpoint_steps": "saveevery savesteps saveinterval checkpointinterval",
    "engine.wandb": "wandb logger reportto usewandb",
    "engine.profile": "profiler",
    "out": "outdir outputdir output outputpath logdir savedir workdir dir outputs",
    "sweep.name": "name expname experimentname runname",
    "an epoch is no unit here: give tokens=… or steps=…": "epochs nepochs numepochs maxepochs numtrainepochs",
    "JAX takes the accelerator that it finds, and JAX_PLATFORMS=cpu before the command another": "device devices gpu "
    "gpus cuda tpu accelerator backend platform",
}
_SCHEDULES = {
    "cosine": "cosinedecay cosineannealing cosinewithwarmup warmupcosine warmupcosinedecay cosineannealinglr cos",
    "cosine_restarts": "sgdr cosineannealingwarmrestarts cosinewithrestarts cosinewarmrestarts",
    "wsd": "warmupstabledecay trapezoid trapezoidal wsdlinear lineardecaytozerolate cooldown",
    "wsd_cycles": "wsds wsdsimplified",
    "linear": "lineardecay linearwithwarmup d2z linearlr polynomial polynomialdecay triangular onecycle",
    "constant": "none constantwithwarmup flat fixed constantlr",
    "inverse_sqrt": "rsqrt invsqrt noam inversesquareroot sqrt",
    "step": "multistep steplr multisteplr stepdecay piecewise piecewiseconstant",
    "infinite": "infinitelr infcosine",
    "power": "powerlr powerscheduler",
    "table": "file csv custom array",
}
_OPTIMIZERS = {
    "adamw": "adamwtorch adamwfused adamw8bit fusedadamw adamwdecoupled default",
    "sgd": "momentum sgdm sgdmomentum",
    "nesterov": "nag sgdnesterov nesterovmomentum",
    "muon": "muonadamw moonlight muonclip",
    "lion": "lion8bit",
    "schedule_free_adamw": "adamwschedulefree schedulefree schedulefreeadam",
}
_MODELS = {
    "GPT-2 small is model=124m model.depth=12, and any shape is model.width=… model.depth=… model.heads=… "
    "model.mlp_width=…": "gpt gpt2 gpt2small openaicommunity/gpt2 nanogpt",
    "model=350m is near GPT-2 medium, and any shape is model.width=… model.depth=… model.heads=… "
    "model.mlp_width=…": "gpt2medium",
    "1b": "llama321b pythia1b olmo1b tinyllama",
}
_DATA = {
    "`jaxlaws data SOURCE -o DIR` makes shards of a data set, then data=shards data.path=DIR": "c4 wikitext "
    "wikitext103 fineweb finewebedu openwebtext slimpajama pile thepile huggingface hf dataset tokens",
    "text": "txt file bytes shakespeare tinyshakespeare enwik8",
    "language": "synthetic random generated",
}
_COMMANDS = {
    "'jaxlaws train -m' trains a sweep": "sweep multirun tune search hparams grid",
    "train": "run pretrain",
    "recommend": "suggest advise ask lr batch hyperparameters",
    "predict": "forecast extrapolate loss",
    "optimum": "optimal isoflop computeoptimal allocate",
    "collect": "export table csv results",
    "status": "ls list show progress ps",
    "laws": "presets",
    "schedule": "lrschedule lrcurve",
    "bench": "benchmark benchmarks",
    "completion": "complete autocomplete shellcompletion installcompletion",
    "init": "new start scaffold create",
}
_DTYPES = {
    "float32": "fp32 f32 float single 32 32true",
    "bfloat16": "bf16 fp16 f16 float16 half bf16mixed 16mixed mixed",
}
_PARAMETERISATIONS = {
    "mup": "μp µp mupar",
    "standard": "sp default none",
}
_LAWS = {
    "it is a law of LR and batch, which `jaxlaws recommend --law` takes": "steplaw deepseek porian minicpm powerlines",
    "multi_power": "mpl multipower multipowerlaw",
    "chinchilla": "hoffmann scalinglaw",
    "data_constrained": "muennighoff repeated repeateddata epochs",
    "parallel": "parscale",
    "routed": "moe clark",
    "mixing": "mixture datamixing regmix",
    "rectified": "finetuning finetune sft",
    "cpt": "continualpretraining continuedpretraining",
}


def _by_name(table: dict[str, str]) -> dict[str, str]:
    return {name: ours for ours, names in table.items() for name in names.split()}


#: Kind of name, as `unknown` is given it → name elsewhere → name here, or a remark with spaces in it.
MEANINGS = {
    "config key": _by_name(_KEYS),
    "choice of schedule": _by_name(_SCHEDULES),
    "schedule": _by_name(_SCHEDULES),
    "choice of optimizer": _by_name(_OPTIMIZERS),
    "optimizer.name": _by_name(_OPTIMIZERS),
    "choice of model": _by_name(_MODELS),
    "choice of data": _by_name(_DATA),
    "data source": _by_name(_DATA),
    "command": _by_name(_COMMANDS),
    "law": _by_name(_LAWS),
    "model.dtype": _by_name(_DTYPES),
    "model.parameterisation": _by_name(_PARAMETERISATIONS),
}


def meaning(kind: str, got: str) -> str | None:
    """What a name from elsewhere is called here, or a remark; None where the table does not know it.

    Args:
      kind: what the name is of, such as `config key`.
      got: the name; of a dotted key the whole or else its last part counts, in any case, with or without `_` and `-`.
    """
    names = MEANINGS.get(kind, {})
    return names.get(plain(got)) or names.get(plain(got).rpartition(".")[2])


def plain(name: str) -> str:
    """A name as names are compared: without case, `_` and `-`."""
    return name.lower().replace("_", "").replace("-", "")
