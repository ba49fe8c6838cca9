"""Makes fixtures/torch: checkpoints and arrays as PyTorch and NumPy write them, what they hold, and pickles that must be refused.

    python make_torch_files.py

`expected.json` has every tensor's dtype, shape and little-endian bytes (base64), `hostile.json` pickles (base64) with the code of their refusal.
The checkpoints' names inside (torch.save writes the file's stem) and their serialization ids are the same at every run.
"""

import base64
import builtins
import json
import os
import pickle
import struct
import warnings
from collections import OrderedDict
from pathlib import Path

import numpy
import torch
from safetensors.torch import save_file

warnings.filterwarnings("ignore")
HERE = Path(__file__).parent / "fixtures" / "torch"
NAMES = {
    torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip


def base(data: bytes) -> str:
    return base64.b64encode(data).decode()


def described(tensor: torch.Tensor) -> dict:
    plain = tensor.detach().contiguous()
    return {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "bytes": base(plain.flatten().view(torch.uint8).numpy().tobytes())}


def tensors_of(value, path=()) -> dict:
    if isinstance(value, torch.Tensor):
        return {".".join(path): described(value)}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    return {name: each for key, item in items for name, each in tensors_of(item, (*path, str(key))).items()}


def checkpoints(generator: torch.Generator) -> dict:
    """Every way in which a tensor can lie in a storage, and every kind of plain data that stands beside tensors."""
    random = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    big = random(6, 8)
    cube = random(2, 3, 4)
    every = {
        "f32": random(3, 5),
        "f16": random(7).half(),
        "bf16": random(2, 3).bfloat16(),
        "f64": random(3).double(),
        "i64": torch.tensor([-1, 2**40, 3]),
        "i32": torch.tensor([[-5, 6]], dtype=torch.int32),
        "i16": torch.tensor([-300, 300], dtype=torch.int16),
        "i8": torch.tensor([-128, 127], dtype=torch.int8),
        "u8": torch.tensor([0, 255], dtype=torch.uint8),
        "bool": torch.tensor([True, False, True]),
        "scalar": torch.tensor(1.5),
        "empty": torch.zeros(0, 4),
        "transposed": big.t(),
        "transposed f16": random(3, 4).half().t(),
        "transposed f64": random(3, 4).double().t(),
        "transposed u8": torch.arange(12, dtype=torch.uint8).reshape(3, 4).t(),
        "column": big[:, 3],
        "rows": big[2:5],
        "steps": big[1::2, ::3],
        "permuted": cube.permute(2, 0, 1),
        "expanded": torch.tensor([[1.0], [2.0]]).expand(2, 3),
        "expanded scalar": torch.tensor(4.0).expand(2, 2),
        "one axis of one": big[:, 2:3],
        "shared": big,
        "parameter": torch.nn.Parameter(random(4)),
        "__proto__": random(1),
    }
    attributed = torch.nn.Parameter(random(2))
    attributed.note = "kept by Python"
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    with torch.no_grad():
        for each in module.state_dict().values():
            each.copy_(torch.arange(each.numel()).reshape(each.shape))
    return {
        "every": every,
        "module": module.state_dict(),
        "nested": {
            "encoder": {"weight": random(2, 2), "layers": [random(1), {"bias": random(2)}]},
            "J": {0: random(2, 2).half(), 11: random(2, 2).half()},
            "attributed": attributed,
            "cfg": OrderedDict(k=32, lr=1e-3, hook="blocks.8.hook_resid_pre", on=True, none=None, tags=["a", ["b", 2]], size=torch.Size([3, 4])),
            "dtype": torch.bfloat16,
            "device": torch.device("cuda", 1),
            "big": 2**80,
            "negative": -(2**40),
            "constructor": {"__proto__": {"polluted": "yes"}},
            "set": {1},
        },
        "bare": random(3),
        "list": [random(1), random(2), 7],
    }


def tiny(generator: torch.Generator) -> OrderedDict:
    """Every tensor of the unit tests' tiny GPT-2, with the head that GPT-2's checkpoints save twice and the masks of older ones."""
    D, M, V, C = 6, 24, 11, 9
    shapes = {"wte.weight": [V, D], "wpe.weight": [C, D]}
    for i in range(2):
        layer = {"ln_1.weight": [D], "ln_1.bias": [D], "attn.c_attn.weight": [D, 3 * D], "attn.c_attn.bias": [3 * D]}
        layer |= {"attn.c_proj.weight": [D, D], "attn.c_proj.bias": [D], "ln_2.weight": [D], "ln_2.bias": [D]}
        layer |= {"mlp.c_fc.weight": [D, M], "mlp.c_fc.bias": [M], "mlp.c_proj.weight": [M, D], "mlp.c_proj.bias": [D]}
        shapes |= {f"h.{i}.{name}": shape for name, shape in layer.items()}
    shapes |= {"ln_f.weight": [D], "ln_f.bias": [D]}
    state = OrderedDict((f"transformer.{name}", torch.randn(shape, generator=generator)) for name, shape in shapes.items())
    for i in range(2):
        state[f"transformer.h.{i}.attn.bias"] = torch.tril(torch.ones(C, C, dtype=torch.uint8)).view(1, 1, C, C)
    state["lm_head.weight"] = state["transformer.wte.weight"]
    return state


def write_tiny(folder: Path, generator: torch.Generator) -> None:
    folder.mkdir(exist_ok=True)
    state = tiny(generator)
    once = OrderedDict((name, tensor) for name, tensor in state.items() if name != "lm_head.weight")
    save_file(once, folder / "model.safetensors", metadata={"format": "pt"})
    torch.save(state, folder / "pytorch_model.bin")
    # A training script's: another key, an optimizer beside it, matrices saved as the transposed views that they were.
    parameters = [torch.nn.Parameter(torch.zeros(2))]
    parameters[0].grad = torch.ones(2)
    optimizer = torch.optim.AdamW(parameters)
    optimizer.step()
    turned = OrderedDict((name, t.t().contiguous().t() if t.dim() == 2 else t) for name, t in state.items())
    torch.save({"epoch": 3, "model_state_dict": turned, "optimizer_state_dict": optimizer.state_dict(), "loss": torch.tensor(2.5)}, folder / "training.pt")
    names = list(state)
    shards = [names[:10], names[10:]]
    files = [f"pytorch_model-{i + 1:05}-of-00002.bin" for i in range(2)]
    for file, shard in zip(files, shards, strict=True):
        torch.save(OrderedDict((name, state[name].clone()) for name in shard), folder / file)
    weight_map = {name: file for file, shard in zip(files, shards, strict=True) for name in shard}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}, indent=1) + "\n")


def arrays(rng: numpy.random.Generator) -> dict:
    return {
        "W_enc": rng.standard_normal((3, 4)).astype("<f4"),
        "fortran": numpy.asfortranarray(rng.standard_normal((3, 4)).astype("<f4")),
        "fortran3": numpy.asfortranarray(rng.standard_normal((2, 3, 4)).astype("<f2")),
        "fortran64": numpy.asfortranarray(rng.standard_normal((2, 3)).astype("<f8")),
        "threshold": rng.standard_normal(5).astype("<f8"),
        "half": rng.standard_normal(5).astype("<f2"),
        "i8": numpy.arange(-2, 2, dtype="<i8"),
        "i4": numpy.arange(3, dtype="<i4"),
        "i2": numpy.arange(3, dtype="<i2"),
        "i1": numpy.arange(3, dtype="i1"),
        "u1": numpy.arange(3, dtype="u1"),
        "b1": numpy.array([True, False]),
        "scalar": numpy.array(2.5, dtype="<f4"),
        "empty": numpy.zeros((0, 3), dtype="<f4"),
    }


def numpy_described(array: numpy.ndarray) -> dict:
    name = {"f2": "F16", "f4": "F32", "f8": "F64", "i1": "I8", "i2": "I16", "i4": "I32", "i8": "I64", "u1": "U8", "b1": "BOOL"}
    return {"dtype": name[array.dtype.str[1:]], "shape": list(array.shape), "bytes": base(array.tobytes(order="C"))}


class Calls:
    """Pickles as a call of `function` with `args`."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


class Plain:
    """Pickles as an object of a class, with state."""

    def __init__(self):
        self.x = 1


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def tensor(key="0", elements=6, offset=0, size=(2, 3), stride=(3, 1), storage="FloatStorage", what="storage", make="_rebuild_tensor_v2") -> bytes:
    """A tensor's pickle, opcode by opcode, so that anything in it can be wrong."""
    integer = lambda n: b"J" + struct.pack("<i", n) if -(2**31) <= n < 2**31 else pickle.dumps(n, 2)[2:-1]  # noqa: E731
    axes = lambda values: b"(" + b"".join(map(integer, values)) + b"t"  # noqa: E731
    place = b"(" + text(what) + f"ctorch\n{storage}\n".encode() + text(key) + text("cpu") + integer(elements) + b"tQ"
    return f"ctorch._utils\n{make}\n".encode() + b"(" + place + integer(offset) + axes(size) + axes(stride) + b"\x89ccollections\nOrderedDict\n)RtR"


def held(body: bytes) -> bytes:
    return b"\x80\x02}" + text("w") + body + b"s."


def hostile() -> dict[str, tuple[str, bytes]]:
    call = lambda function, *args, protocol=2: pickle.dumps({"w": Calls(function, *args)}, protocol)  # noqa: E731
    laugh = b"\x80\x02(]q\x00" + text("ha") + b"a" + b"".join(b"]q" + bytes([i + 1]) + b"(" + b"h" + bytes([i]) + (b"h" + bytes([i])) * 9 + b"e" for i in range(12)) + b"t."
    paired = b"\x80\x02(}q\x00" + b"".join(b"}q" + bytes([i + 1]) + text("a") + b"h" + bytes([i]) + b"s" + text("b") + b"h" + bytes([i]) + b"s" for i in range(40)) + b"t."
    forbidden, garbage, large = "pickle-forbidden", "pickle-garbage", "pickle-too-large"
    return {
        "os.system by REDUCE": (forbidden, call(os.system, "echo pwned")),
        "os.system by STACK_GLOBAL": (forbidden, call(os.system, "echo pwned", protocol=4)),
        "builtins.eval": (forbidden, call(builtins.eval, "1+1")),
        "builtins.exec": (forbidden, call(builtins.exec, "x = 1")),
        "builtins.getattr": (forbidden, call(getattr, "x", "upper")),
        "a chain of getattr": (forbidden, b"\x80\x02cbuiltins\ngetattr\ncbuiltins\ngetattr\n" + text("a") + text("b") + b"\x86R" + text("c") + b"\x86R."),
        "a name of pieces": (garbage, b"\x80\x04" + text("o") + text("s") + b"\x86" + text("system") + b"\x93."),
        "STACK_GLOBAL of memoised pieces": (forbidden, b"\x80\x04" + text("posix") + b"\x94" + text("system") + b"\x94" + b"00h\x00h\x01\x93" + text("x") + b"\x85R."),
        "a dotted name": (forbidden, b"\x80\x04" + text("torch") + text("serialization.os.system") + b"\x93" + text("x") + b"\x85R."),
        "a name of the allowed module": (forbidden, b"\x80\x02ctorch\nload\n" + text("x") + b"\x85R."),
        "torch.hub": (forbidden, b"\x80\x02ctorch.hub\nload\n" + text("x") + b"\x85R."),
        "a name of Object.prototype": (forbidden, b"\x80\x02cconstructor\nconstructor\n)R."),
        "__proto__ as a module": (forbidden, b"\x80\x02c__proto__\n__proto__\n)R."),
        "numpy's scalar": (forbidden, pickle.dumps({"w": numpy.float64(1)}, 2)),
        "a call of a text": (forbidden, b"\x80\x02" + text("eval") + b")R."),
        "a call of a dtype": (forbidden, b"\x80\x02ctorch\nfloat32\n)R."),
        "INST": (forbidden, b"(ios\nsystem\n."),
        "OBJ": (forbidden, b"(ccollections\nOrderedDict\no."),
        "NEWOBJ": (forbidden, b"\x80\x02ccollections\nOrderedDict\n)\x81."),
        "NEWOBJ_EX": (forbidden, b"\x80\x04ccollections\nOrderedDict\n)}\x92."),
        "an object of a class": (forbidden, pickle.dumps(Plain(), 2)),
        "BUILD of a tensor": (forbidden, held(tensor() + b"}" + text("x") + b"K\x01sb")),
        "BUILD of a name": (forbidden, b"\x80\x02ccollections\nOrderedDict\n}b."),
        "EXT1": (forbidden, b"\x80\x02\x82\x01."),
        "EXT2": (forbidden, b"\x80\x02\x83\x01\x00."),
        "EXT4": (forbidden, b"\x80\x02\x84\x01\x00\x00\x00."),
        "PERSID": (forbidden, b"Pstorage\n."),
        "protocol 0": (forbidden, pickle.dumps({"a": 1}, 0)),
        "DUP": (forbidden, b"]" + b"2" * 1000 + b"."),
        "BYTEARRAY8": (forbidden, pickle.dumps(bytearray(b"x"), 5)),
        "NEXT_BUFFER": (forbidden, b"\x80\x05\x97."),
        "a huge LONG4": (large, b"\x80\x02\x8b" + struct.pack("<i", 1000) + b"\xff" * 1000 + b"."),
        "a LONG4 longer than the file": (large, b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"."),
        "a negative LONG4": (large, b"\x80\x02\x8b" + struct.pack("<i", -1) + b"."),
        "a billion laughs, of lists": (large, laugh),
        "a billion laughs, of dicts": (large, paired),
        "a list in itself": (large, b"\x80\x02]q\x00h\x00a."),
        "a dict in itself": (large, b"\x80\x02}q\x00" + text("x") + b"h\x00s."),
        "marks without end": (large, b"(" * 20_000 + b"."),
        "lists without end": (large, b"]" * 5_000 + b"a" * 4_999 + b"."),
        "nothing": (garbage, b""),
        "an operation that does not exist": (garbage, b"\x80\x02\xff."),
        "protocol 200": (garbage, b"\x80\xc8}."),
        "no STOP": (garbage, b"\x80\x02}"),
        "STOP on nothing": (garbage, b"\x80\x02."),
        "STOP amid a mark": (garbage, b"\x80\x02(}."),
        "two values": (garbage, b"\x80\x02}}."),
        "cut in a text": (garbage, b"\x80\x02X\xff\x00\x00\x00abc"),
        "a text of four gigabytes": (garbage, b"\x80\x02X\xff\xff\xff\xffabc."),
        "a text of 2^64 bytes": (garbage, b"\x80\x04\x8d" + b"\xff" * 8 + b"abc."),
        "a text that is none": (garbage, b"\x80\x02X\x02\x00\x00\x00\xff\xfe."),
        "a memo never made": (garbage, b"\x80\x02h\x07."),
        "an empty stack": (garbage, b"\x80\x020."),
        "a tuple of nothing": (garbage, b"\x80\x02\x87."),
        "a mark never set": (garbage, b"\x80\x02}u."),
        "an odd dict": (garbage, b"\x80\x02}(" + text("a") + b"u."),
        "items for a list": (garbage, b"\x80\x02]" + text("a") + b"K\x01s."),
        "APPEND to a tuple": (garbage, b"\x80\x02)K\x01a."),
        "a name without end": (garbage, b"\x80\x02ctorch" + b"x" * 5000),
        "a name that is a number": (garbage, b"\x80\x04K\x01K\x02\x93."),
        "arguments that are a list": (garbage, b"\x80\x02ccollections\nOrderedDict\n]R."),
        "a persistent id that is no storage": (garbage, held(tensor(what="module"))),
        "a persistent id that is a text": (garbage, b"\x80\x02" + text("x") + b"Q."),
        "a tensor of no storage": (garbage, b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + text("x") + b"K\x00))\x89}tR."),
        "a parameter of a text": (garbage, b"\x80\x02ctorch._utils\n_rebuild_parameter\n" + text("x") + b"\x88}\x87R."),
        "more strides than axes": (garbage, held(tensor(stride=(3, 1, 1)))),
        "a hundred axes": (garbage, held(tensor(size=(1,) * 100, stride=(1,) * 100))),
        "a storage that is not there": ("tensor-missing", held(tensor(key="7"))),
        "a storage outside the archive": ("tensor-missing", held(tensor(key="../../etc/passwd"))),
        "a storage called as a method": ("tensor-missing", held(tensor(key="toString"))),
        "a storage smaller than it says": ("dtype-size", held(tensor(elements=100))),
        "a storage larger than it says": ("dtype-size", held(tensor(elements=5, size=(5,), stride=(1,)))),
        "a storage of another type": ("dtype-size", held(tensor(storage="DoubleStorage"))),
        "an offset past the end": ("offsets-range", held(tensor(offset=1))),
        "an offset far past the end": ("offsets-range", held(tensor(offset=2**40))),
        "an offset beyond all numbers": ("offsets-range", held(tensor(offset=2**70))),
        "a negative offset": ("offsets-range", held(tensor(offset=-1))),
        "a negative stride": ("offsets-range", held(tensor(offset=5, stride=(-3, -1)))),
        "a negative size": ("offsets-range", held(tensor(size=(-2, -3)))),
        "a stride too long": ("offsets-range", held(tensor(stride=(4, 1)))),
        "strides beyond all numbers": ("offsets-range", held(tensor(size=(2**50, 2**50), stride=(2**50, 2**50)))),
        "a view expanded without end": ("unpacked-too-large", held(tensor(size=(2**30, 2**30), stride=(0, 0)))),
        "numbers of a type that nobody reads": ("dtype-unsupported", held(tensor(storage="ComplexFloatStorage", elements=3, size=(3,), stride=(1,)))),
        "quantised numbers": ("dtype-unsupported", held(tensor(storage="QInt8Storage"))),
        "the same name twice": ("tensor-duplicate", b"\x80\x02}" + text("a.b") + tensor() + b"s" + text("a") + b"}" + text("b") + tensor() + b"ss."),
    }


def main() -> None:
    HERE.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(5)
    expected = {}
    for name, value in checkpoints(generator).items():
        torch.save(value, HERE / f"{name}.pt")
        expected[f"{name}.pt"] = {"tensor" if key == "" else key: each for key, each in tensors_of(value).items()}
        if name == "every":
            torch.save(value, HERE / "protocol4.pt", pickle_protocol=4)
            expected["protocol4.pt"] = expected["every.pt"]
    torch.save({"x": torch.zeros(2, dtype=torch.uint16)}, HERE / "unread-u16.pt")
    torch.save({"x": torch.zeros(2).to(torch.float8_e4m3fn)}, HERE / "unread-f8.pt")
    torch.save({"x": torch.zeros(2)}, HERE / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), HERE / "script.pt")
    write_tiny(HERE / "tiny", generator)

    held_arrays = arrays(numpy.random.Generator(numpy.random.Philox(5)))
    numpy.savez(HERE / "arrays.npz", **held_arrays)
    numpy.savez_compressed(HERE / "deflated.npz", **held_arrays)
    expected["arrays.npz"] = expected["deflated.npz"] = {name: numpy_described(array) for name, array in held_arrays.items()}
    one = numpy.arange(6, dtype="<f4").reshape(2, 3)
    for version in (1, 2, 3):
        with open(HERE / f"version{version}.npy", "wb") as file:
            numpy.lib.format.write_array(file, one, version=(version, 0))
        expected[f"version{version}.npy"] = {f"version{version}": numpy_described(one)}
    numpy.save(HERE / "unread-objects.npy", numpy.array([{"a": 1}], dtype=object), allow_pickle=True)
    numpy.save(HERE / "unread-big-endian.npy", one.astype(">f4"))
    numpy.save(HERE / "unread-record.npy", numpy.zeros(2, dtype=[("a", "<f4"), ("b", "<i4")]))
    numpy.save(HERE / "unread-text.npy", numpy.array(["ab", "c"]))

    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    pickles = {name: {"code": code, "pickle": base(data)} for name, (code, data) in hostile().items()}
    (HERE / "hostile.json").write_text(json.dumps(pickles, indent=1) + "\n")


if __name__ == "__main__":
    main()
