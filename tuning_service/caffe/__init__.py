"""Nets in prototxt, trained on torch where there is no Caffe.

What a manager process needs of a net is here without torch, numpy or data: protobuf and the standard library.

    text.read_net(text) -> NetParameter             old forms brought up to date; PrototxtError has line and column
    text.read_solver(text) -> SolverParameter
    net.plan_net(net, phase, level=0, stages=()) -> tuple[PlannedLayer, ...]
    net.net_outputs(plan) -> tuple[str, ...]
    shapes.infer_shapes(plan, data=None) -> tuple[ShapedLayer, ...]
    shapes.parameter_count(shaped) -> int | None
    solver_plan.solver_problems(solver) -> list[str]; solver_plan.nets_of(solver) -> tuple[NetUse, ...]
    windows.convolution_window(param, axes), windows.pooling_window(param, height, width) -> Window

`schema` has the messages under their public names (NetParameter, SolverParameter, Datum, BlobProto, SolverState …). A
training compiles its modules from the same plan and shapes, so what is refused there was refused before it began.
"""
