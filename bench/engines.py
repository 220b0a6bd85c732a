#!/usr/bin/env python3
"""Network-only peers: the confidence of one picture.

    engines.py ENGINE MODEL.tflite [PLAIN]

ENGINE is litert, onnxruntime, openvino or openvino-bf16. With PLAIN the graph stays as the
converter makes it.

Each serves requests (see peer.py) with one thread. A request 0 is followed by the input, f32
[height][width][3], and answered with the confidence, f32 [height][width]. What a run is timed for
is the engine's call alone: its input is in place, in the order of axes it likes."""

import pathlib
import sys

import numpy as np

from peer import serve


class LiteRT:
    """With XNNPACK, as it comes."""

    def __init__(self, model, _):
        from ai_edge_litert.interpreter import Interpreter

        self.interpreter = Interpreter(str(model), num_threads=1)
        self.interpreter.allocate_tensors()
        self.source = self.interpreter.get_input_details()[0]
        self.target = self.interpreter.get_output_details()[0]["index"]
        self.shape = self.source["shape"][1:3]

    def set(self, picture):
        self.interpreter.set_tensor(self.source["index"], picture[None])

    def run(self):
        self.interpreter.invoke()

    def get(self):
        return self.interpreter.get_tensor(self.target)


class OnnxRuntime:
    """All graph optimisations; input and output bound once."""

    def __init__(self, model, plain):
        import onnxruntime

        import onnx_model

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        graph = onnx_model.convert(model.read_bytes(), plain).SerializeToString()
        self.session = onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"]
        )
        source, target = self.session.get_inputs()[0], self.session.get_outputs()[0]
        self.shape = source.shape[2:]
        self.input = onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(source.shape, np.float32))
        self.output = onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(target.shape, np.float32))
        self.binding = self.session.io_binding()
        self.binding.bind_ortvalue_input(source.name, self.input)
        self.binding.bind_ortvalue_output(target.name, self.output)

    def set(self, picture):
        self.input.update_inplace(np.ascontiguousarray(picture.transpose(2, 0, 1)[None]))

    def run(self):
        self.session.run_with_iobinding(self.binding)

    def get(self):
        return self.output.numpy()


class OpenVINO:
    """In f32 as the others, or in bf16, which has other results."""

    precision = "f32"

    def __init__(self, model, plain):
        import openvino

        import onnx_model

        core = openvino.Core()
        if self.precision == "bf16" and "BF16" not in core.get_property(
            "CPU", "OPTIMIZATION_CAPABILITIES"
        ):
            raise SystemExit("this processor has no bf16")
        graph = core.read_model(onnx_model.convert(model.read_bytes(), plain).SerializeToString())
        settings = {
            "INFERENCE_NUM_THREADS": 1,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": self.precision,
        }
        self.request = core.compile_model(graph, "CPU", settings).create_infer_request()
        self.shape = self.request.get_input_tensor().shape[2:]

    def set(self, picture):
        self.request.get_input_tensor().data[:] = picture.transpose(2, 0, 1)[None]

    def run(self):
        self.request.infer(share_outputs=True)

    def get(self):
        return self.request.get_output_tensor().data


class OpenVINOInBf16(OpenVINO):
    precision = "bf16"


ENGINES = {
    "litert": LiteRT,
    "onnxruntime": OnnxRuntime,
    "openvino": OpenVINO,
    "openvino-bf16": OpenVINOInBf16,
}


def main():
    name, model, *plain = sys.argv[1:]
    engine = ENGINES[name](pathlib.Path(model), bool(plain))
    height, width = engine.shape

    def load(read):
        engine.set(np.frombuffer(read(12 * height * width), "<f4").reshape(height, width, 3))
        engine.run()
        return np.ascontiguousarray(engine.get(), "<f4").tobytes()

    serve(load, engine.run)


if __name__ == "__main__":
    main()
