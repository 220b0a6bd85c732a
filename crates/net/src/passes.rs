//! The passes of a run: each reads a map or two, keeps a few rows between, and writes one map.
//!
//! An encoder pass makes its input row by row (with the stem, or the projection that ends the block
//! before). It expands each row into a ring of as many rows as the depthwise convolution reads,
//! filters them, and sums up the mean for the gate. The head and the decoders do the same. So the
//! wide maps, which are the large ones, never leave the first level caches.
use super::{
    graph::Activation,
    kernels::{
        AlignedFloats, HARD_SWISH, InitialSums, NONE, PackedMatrix, RELU, RowLayout, add_row_sums,
        add_to_row, depthwise, extend_edges, fully_connected, pointwise, stem, tail,
    },
    observe::{Observer, Pass, StepKind},
    plan::{DecoderPlan, Depthwise, EncoderPlan, GatePlan, NetworkPlan, StoredMap},
};
use fearless_simd::Simd;

/// All memory of a run.
pub(super) struct Buffers {
    /// Inputs of the encoder blocks; the last one is the head's input.
    maps: Vec<AlignedFloats>,
    /// Means of the inputs, where they are needed.
    means: Vec<AlignedFloats>,
    /// The projections that inputs are stored without, scaled by the gate.
    projections: Vec<PackedMatrix>,
    /// Outputs of the depthwise convolutions, in turn; then the head's features.
    filtered: [AlignedFloats; 2],
    sum: AlignedFloats,
    gate: AlignedFloats,
    hidden: AlignedFloats,
    /// The next matrix, scaled by a gate.
    scaled: PackedMatrix,
    /// A missing projection times a matrix.
    product: PackedMatrix,
    /// The rows that a depthwise convolution reads.
    ring: AlignedFloats,
    zeros: AlignedFloats,
    row: AlignedFloats,
    /// The maps that the decoders enlarge, in turn: rows with one more pixel on either side.
    small: [AlignedFloats; 2],
}

impl Buffers {
    /// Reserves the memory that `plan` needs.
    pub(super) fn new(plan: &NetworkPlan) -> Self {
        let filtered = |e: &EncoderPlan| {
            e.input.height.div_ceil(e.depthwise.stride)
                * (e.input.width / e.depthwise.stride)
                * e.expand.weights.n
        };
        let inputs = || {
            plan.encoder
                .iter()
                .map(|e| e.input)
                .chain([plan.head.input])
        };
        let features = plan.head.features.weights.n;
        let most = |sizes: &mut dyn Iterator<Item = usize>| sizes.max().unwrap_or(0);
        let encoder_rows = || {
            plan.encoder
                .iter()
                .map(|e| (e.depthwise.row.len * e.expand.weights.n, e.depthwise.kernel))
        };
        let decoder_rows = || {
            plan.decoder
                .iter()
                .map(|d| (d.depthwise.row.len * d.mix.n, d.depthwise.kernel))
        };
        let small = most(&mut plan.decoder.iter().map(|d| {
            let skip = plan.encoder[d.skip].input;
            (skip.height / 2) * (skip.width / 2 + 2) * d.mix.n
        }));
        let channels = plan.encoder.iter().flat_map(|e| {
            [
                e.expand.weights.n,
                e.input.channels,
                e.gate.as_ref().map_or(0, |g| g.reduce.n),
            ]
        });
        let decoder_channels = plan
            .decoder
            .iter()
            .flat_map(|d| [d.up.k, d.up.n, d.mix.n, d.gate.reduce.n]);
        let channels = most(&mut channels.chain(decoder_channels).chain([features]));
        let projections = plan.encoder.iter().map(|e| &e.project.weights);
        let matrices = projections.chain(
            plan.decoder
                .iter()
                .flat_map(|d| [&d.mix, &d.merged.weights]),
        );
        let expanded = plan.encoder.iter().filter(|e| e.is_unprojected);
        let mixed = plan.decoder.iter().map(|d| {
            let skip = &plan.encoder[d.skip];
            match skip.is_unprojected {
                true => PackedMatrix::room_for(skip.input.channels, d.mix.n),
                false => 0,
            }
        });
        let mut products = expanded
            .map(|e| PackedMatrix::room_for(e.input.channels, e.expand.weights.n))
            .chain(mixed);
        Buffers {
            maps: inputs()
                .map(|m| AlignedFloats::zeros(m.height * m.width * m.channels))
                .collect(),
            means: [plan.encoder[0].input.channels]
                .into_iter()
                .chain(plan.encoder.iter().map(|e| e.project.weights.n))
                .map(AlignedFloats::zeros)
                .collect(),
            projections: plan
                .encoder
                .iter()
                .enumerate()
                .map(|(i, e)| match i.checked_sub(1).map(|i| &plan.encoder[i]) {
                    Some(last) if e.is_unprojected => {
                        PackedMatrix::with_room(last.project.weights.room())
                    }
                    _ => PackedMatrix::default(),
                })
                .collect(),
            filtered: [0, 1].map(|turn| {
                let blocks = plan
                    .encoder
                    .iter()
                    .enumerate()
                    .filter(|(i, _)| i % 2 == turn)
                    .map(|(_, e)| filtered(e));
                let head = (plan.encoder.len() % 2 == turn)
                    .then_some(plan.head.input.height * plan.head.input.width * features);
                AlignedFloats::zeros(most(&mut blocks.chain(head)))
            }),
            sum: AlignedFloats::zeros(channels),
            gate: AlignedFloats::zeros(channels),
            hidden: AlignedFloats::zeros(channels),
            scaled: PackedMatrix::with_room(most(&mut matrices.map(PackedMatrix::room))),
            product: PackedMatrix::with_room(most(&mut products)),
            ring: AlignedFloats::zeros(most(
                &mut encoder_rows()
                    .chain(decoder_rows())
                    .map(|(row, kernel)| row * kernel),
            )),
            zeros: AlignedFloats::zeros(most(
                &mut encoder_rows()
                    .chain(decoder_rows())
                    .map(|(row, _)| row)
                    .chain([plan.width * 3]),
            )),
            row: AlignedFloats::zeros(most(
                &mut plan
                    .decoder
                    .iter()
                    .map(|d| plan.encoder[d.skip].input.width * d.mix.n),
            )),
            small: [(); 2].map(|()| AlignedFloats::zeros(small)),
        }
    }
}

/// Runs all passes. `input` and `out` have the sizes of the plan.
// Inlined, because its caller may use the level's instructions: kernels then can be inlined too,
// and the depthwise ones take a tenth less time (AVX2).
#[inline(always)]
pub(super) fn run<S: Simd>(
    s: S,
    plan: &NetworkPlan,
    b: &mut Buffers,
    input: &[f32],
    out: &mut [f32],
    o: &mut Observer<'_>,
) {
    for i in 0..plan.encoder.len() {
        o.begin(Pass::Encoder(i));
        encoder(s, plan, i, b, input, o);
    }
    o.begin(Pass::Head);
    head(s, plan, b, o);
    for i in 0..plan.decoder.len() {
        o.begin(Pass::Decoder(i));
        decoder(s, plan, i, b, out, o);
    }
}

/// Where row `y` of a map of rows of `len` floats lies.
fn at(y: usize, len: usize) -> std::ops::Range<usize> {
    y * len..(y + 1) * len
}

fn encoder<S: Simd>(
    s: S,
    plan: &NetworkPlan,
    i: usize,
    b: &mut Buffers,
    picture: &[f32],
    o: &mut Observer<'_>,
) {
    let e = &plan.encoder[i];
    let StoredMap {
        height,
        width,
        channels,
    } = e.input;
    let dw = &e.depthwise;
    let wide = e.expand.weights.n;
    let out_height = height.div_ceil(dw.stride);
    let out_width = width / dw.stride;
    let size = dw.row.len * wide;
    let ring = &mut b.ring[..size * dw.kernel];
    dw.row.clear_padding(s, ring, wide, width);
    let [even, odd] = &mut b.filtered;
    let (to, from) = if i.is_multiple_of(2) {
        (even, odd)
    } else {
        (odd, even)
    };
    let (before, maps) = b.maps.split_at_mut(i);
    let (map, next_map) = maps.split_at_mut(1);
    let next = plan.encoder.get(i + 1).filter(|next| next.is_unprojected);
    let to = if next.is_some() { &mut next_map[0] } else { to };
    let expand = if e.is_unprojected {
        b.product
            .set_product(s, &b.projections[i], &e.expand.weights);
        &b.product
    } else {
        &e.expand.weights
    };
    let sum = &mut b.sum[..wide];
    sum.fill(0.0);
    let is_summed = e.is_skip && !e.is_unprojected;
    if is_summed {
        b.means[i].fill(0.0);
    }
    let mut made = 0;
    for (y, to) in to[..out_height * out_width * wide]
        .chunks_exact_mut(out_width * wide)
        .enumerate()
    {
        let top = (y * dw.stride) as isize - dw.top as isize;
        while made < height && (made as isize) < top + dw.kernel as isize {
            let x = &mut map[0][at(made, width * channels)];
            match i
                .checked_sub(1)
                .map(|last| (&plan.encoder[last], &before[last]))
            {
                None => {
                    stem_row(s, plan, picture, &b.zeros, made, x);
                    o.did(
                        StepKind::Stem,
                        x.len() * plan.stem.weights.k,
                        plan.width * 6 + x.len(),
                    );
                }
                // the block before wrote it
                Some(_) if e.is_unprojected => {}
                Some((last, skipped)) => {
                    let wide = last.expand.weights.n;
                    project(
                        s,
                        last,
                        &from[at(made, width * wide)],
                        &b.scaled,
                        skipped,
                        made,
                        width,
                        x,
                    );
                    let added = if last.residual { x.len() } else { 0 };
                    o.did(
                        StepKind::Project,
                        x.len() * wide,
                        width * wide + x.len() + added,
                    );
                }
            }
            if is_summed {
                add_row_sums(s, x, &mut b.means[i]);
                o.did(StepKind::Sums, 0, x.len());
            }
            let ring_row = &mut ring[at(made % dw.kernel, size)];
            let activation = e.expand_activation;
            activated(s, x, expand, &e.expand.bias, activation, ring_row, dw.row);
            o.did(StepKind::Expand, x.len() * wide, x.len() + width * wide);
            made += 1;
        }
        filter(s, dw, ring, &b.zeros, size, top, height, to, sum);
        o.did(
            StepKind::Depthwise,
            to.len() * dw.kernel * dw.kernel,
            dw.stride * width * wide + to.len(),
        );
    }
    if is_summed {
        let share = 1.0 / (height * width) as f32;
        b.means[i].iter_mut().for_each(|v| *v *= share);
    }
    let share = 1.0 / (out_height * out_width) as f32;
    sum.iter_mut().for_each(|v| *v *= share);
    match &e.gate {
        Some(g) => gate(s, g, sum, &mut b.hidden, &mut b.gate),
        None => b.gate.fill(1.0),
    }
    let project = &e.project;
    if next.is_some() {
        let scaled = &mut b.projections[i + 1];
        scaled.set_scaled(s, &project.weights, &b.gate);
        // the mean of a linear function
        let mean = &mut b.means[i + 1];
        mean.copy_from_slice(&project.bias);
        scaled.add_product(s, sum, mean);
    } else {
        b.scaled.set_scaled(s, &project.weights, &b.gate);
    }
    o.did(StepKind::Gate, 0, 2 * project.weights.k * project.weights.n);
}

fn stem_row<S: Simd>(
    s: S,
    plan: &NetworkPlan,
    picture: &[f32],
    zeros: &[f32],
    y: usize,
    to: &mut [f32],
) {
    let len = plan.width * 3;
    let row = |y: usize| {
        if y < plan.height {
            &picture[at(y, len)]
        } else {
            &zeros[..len]
        }
    };
    let rows = [row(2 * y), row(2 * y + 1), row(2 * y + 2)];
    match plan.stem_activation {
        HARD_SWISH => stem::<S, HARD_SWISH>(s, rows, &plan.stem.weights, &plan.stem.bias, to),
        _ => stem::<S, RELU>(s, rows, &plan.stem.weights, &plan.stem.bias, to),
    }
}

/// Row `y` of the output of a block, whose gate is part of `weights`. `input` is the block's input,
/// for the residual.
fn project<S: Simd>(
    s: S,
    e: &EncoderPlan,
    x: &[f32],
    weights: &PackedMatrix,
    input: &[f32],
    y: usize,
    width: usize,
    to: &mut [f32],
) {
    let bias = &e.project.bias;
    let start = if e.residual {
        InitialSums::Residual(bias, &input[at(y, to.len())])
    } else {
        InitialSums::Bias(bias)
    };
    pointwise::<S, NONE>(s, x, weights, start, to, RowLayout::plain(width));
}

fn activated<S: Simd>(
    s: S,
    x: &[f32],
    weights: &PackedMatrix,
    bias: &[f32],
    activation: u8,
    to: &mut [f32],
    row: RowLayout,
) {
    match activation {
        HARD_SWISH => pointwise::<S, HARD_SWISH>(s, x, weights, InitialSums::Bias(bias), to, row),
        _ => pointwise::<S, RELU>(s, x, weights, InitialSums::Bias(bias), to, row),
    }
}

/// The depthwise convolution of an encoder block: rows `top..` of a map of `height` rows, of which
/// the ring holds the last ones.
fn filter<S: Simd>(
    s: S,
    dw: &Depthwise,
    ring: &[f32],
    zeros: &[f32],
    size: usize,
    top: isize,
    height: usize,
    to: &mut [f32],
    sum: &mut [f32],
) {
    let w = &dw.weights;
    let b = &dw.bias[..];
    let row = dw.row;
    macro_rules! run {
        ($kernel:literal, $stride:literal, $activation:ident) => {{
            let rows = ring_rows::<$kernel>(ring, zeros, size, top, height);
            depthwise::<S, $kernel, $stride, $activation, false>(s, rows, row, w, b, to, sum)
        }};
    }
    match (dw.kernel, dw.stride, dw.activation) {
        (3, 1, HARD_SWISH) => run!(3, 1, HARD_SWISH),
        (3, 1, _) => run!(3, 1, RELU),
        (3, _, HARD_SWISH) => run!(3, 2, HARD_SWISH),
        (3, ..) => run!(3, 2, RELU),
        (_, 1, HARD_SWISH) => run!(5, 1, HARD_SWISH),
        (_, 1, _) => run!(5, 1, RELU),
        (_, _, HARD_SWISH) => run!(5, 2, HARD_SWISH),
        _ => run!(5, 2, RELU),
    }
}

/// `K` rows from row `top` on; rows outside of the map are zeros.
fn ring_rows<'a, const K: usize>(
    ring: &'a [f32],
    zeros: &'a [f32],
    size: usize,
    top: isize,
    height: usize,
) -> [&'a [f32]; K] {
    std::array::from_fn(|i| match usize::try_from(top + i as isize) {
        Ok(y) if y < height => &ring[at(y % K, size)],
        _ => &zeros[..size],
    })
}

fn gate<S: Simd>(s: S, gate: &GatePlan, mean: &[f32], hidden: &mut [f32], to: &mut [f32]) {
    let hidden = &mut hidden[..gate.reduce.n];
    fully_connected(
        s,
        mean,
        &gate.reduce.weights,
        &gate.reduce.bias,
        Some(Activation::Relu),
        hidden,
    );
    fully_connected(
        s,
        hidden,
        &gate.expand.weights,
        &gate.expand.bias,
        Some(Activation::Logistic),
        &mut to[..gate.expand.n],
    );
}

fn head<S: Simd>(s: S, plan: &NetworkPlan, b: &mut Buffers, o: &mut Observer<'_>) {
    let StoredMap {
        height,
        width,
        channels,
    } = plan.head.input;
    let count = plan.encoder.len();
    let wide = plan.head.features.weights.n;
    let [even, odd] = &mut b.filtered;
    let (features, from) = if count.is_multiple_of(2) {
        (even, odd)
    } else {
        (odd, even)
    };
    let (before, maps) = b.maps.split_at_mut(count);
    let last = &plan.encoder[count - 1];
    let skipped = &before[count - 1];
    let sum = &mut b.sum[..wide];
    let mean = &mut b.means[count];
    sum.fill(0.0);
    mean.fill(0.0);
    for y in 0..height {
        let x = &mut maps[0][at(y, width * channels)];
        let last_wide = last.expand.weights.n;
        project(
            s,
            last,
            &from[at(y, width * last_wide)],
            &b.scaled,
            skipped,
            y,
            width,
            x,
        );
        o.did(
            StepKind::Project,
            x.len() * last_wide,
            width * last_wide + 2 * x.len(),
        );
        add_row_sums(s, x, mean);
        o.did(StepKind::Sums, 0, x.len());
        let row = &mut features[at(y, width * wide)];
        let layer = &plan.head.features;
        let to = RowLayout::plain(width);
        activated(s, x, &layer.weights, &layer.bias, RELU, row, to);
        o.did(StepKind::Expand, x.len() * wide, x.len() + row.len());
        add_row_sums(s, row, sum);
        o.did(StepKind::Sums, 0, row.len());
    }
    let share = 1.0 / (height * width) as f32;
    mean.iter_mut().for_each(|v| *v *= share);
    let factors = &mut b.gate[..wide];
    fully_connected(
        s,
        mean,
        &plan.head.gate.weights,
        &plan.head.gate.bias,
        Some(Activation::Logistic),
        factors,
    );
    // the mean of the gated features, from which the first decoder computes the mean of the input
    sum.iter_mut()
        .zip(&*factors)
        .for_each(|(v, g)| *v *= share * g);
    let merged = &plan.decoder[0].merged;
    b.scaled.set_scaled(s, &merged.weights, factors);
    o.did(StepKind::Gate, 0, 2 * b.scaled.k * b.scaled.n);
    for y in 0..height {
        shrunken(
            s,
            &features[at(y, width * wide)],
            &b.scaled,
            &merged.bias,
            y,
            width,
            &mut b.small[0],
            o,
        );
    }
}

/// Row `y` of the map that a decoder enlarges.
fn shrunken<S: Simd>(
    s: S,
    x: &[f32],
    weights: &PackedMatrix,
    bias: &[f32],
    y: usize,
    width: usize,
    small: &mut [f32],
    o: &mut Observer<'_>,
) {
    let to = &mut small[at(y, (width + 2) * weights.n)];
    pointwise::<S, NONE>(
        s,
        x,
        weights,
        InitialSums::Bias(bias),
        to,
        RowLayout {
            len: width + 2,
            pad: 1,
            split: false,
        },
    );
    extend_edges(s, to, width);
    o.did(
        StepKind::Merge,
        x.len() * weights.n,
        x.len() + width * weights.n,
    );
}

fn decoder<S: Simd>(
    s: S,
    plan: &NetworkPlan,
    i: usize,
    b: &mut Buffers,
    out: &mut [f32],
    o: &mut Observer<'_>,
) {
    let d = &plan.decoder[i];
    let StoredMap {
        height,
        width,
        channels,
    } = plan.encoder[d.skip].input;
    let dw = &d.depthwise;
    let n = d.mix.n;
    decoder_gate(s, d, b);
    let [even, odd] = &mut b.small;
    let (small, next_small) = if i.is_multiple_of(2) {
        (even, odd)
    } else {
        (odd, even)
    };
    let small_len = (width / 2 + 2) * n;
    let mix = match d.skip.checked_sub(1).map(|last| &plan.encoder[last]) {
        Some(last) if plan.encoder[d.skip].is_unprojected => {
            b.product.set_product(s, &b.projections[d.skip], &b.scaled);
            // The projection's bias is added to the enlargement, which multiplies by 16.
            let bias = &mut b.hidden[..n];
            bias.fill(0.0);
            b.scaled.add_product(s, &last.project.bias, bias);
            bias.iter_mut().for_each(|v| *v /= 16.0);
            for row in small.chunks_exact_mut(small_len).take(height / 2) {
                add_to_row(s, row, width / 2 + 2, bias);
            }
            &b.product
        }
        _ => &b.scaled,
    };
    o.did(StepKind::Gate, 0, 2 * mix.k * n);
    let sum = &mut b.sum[..n];
    sum.fill(0.0);
    let size = dw.row.len * n;
    let ring = &mut b.ring[..size * 3];
    dw.row.clear_padding(s, ring, n, width);
    let skip = &b.maps[d.skip];
    let mut made = 0;
    for y in 0..height {
        while made < height && made < y + 2 {
            let near = made / 2;
            let far = if made.is_multiple_of(2) {
                near.saturating_sub(1)
            } else {
                (near + 1).min(height / 2 - 1)
            };
            let row = |y: usize| &small[at(y, small_len)];
            let to = &mut ring[at(made % 3, size)];
            pointwise::<S, RELU>(
                s,
                &skip[at(made, width * channels)],
                mix,
                InitialSums::Enlarged(row(near), row(far)),
                to,
                dw.row,
            );
            o.did(
                StepKind::Mix,
                width * channels * n,
                width * (channels + n) + width / 2 * n,
            );
            made += 1;
        }
        let row = &mut b.row[..width * n];
        let rows = ring_rows::<3>(ring, &b.zeros, size, y as isize - 1, height);
        depthwise::<S, 3, 1, RELU, true>(s, rows, dw.row, &dw.weights, &dw.bias, row, sum);
        o.did(StepKind::Depthwise, row.len() * 9, 2 * row.len());
        match plan.decoder.get(i + 1) {
            Some(next) => shrunken(
                s,
                row,
                &next.merged.weights,
                &next.merged.bias,
                y,
                width,
                next_small,
                o,
            ),
            None => {
                tail(
                    s,
                    row,
                    &plan.tail.weights,
                    plan.tail.bias,
                    &mut out[at(y, 4 * width)],
                );
                o.did(StepKind::Tail, 4 * row.len(), row.len() + 4 * width);
            }
        }
    }
    let share = 1.0 / (height * width) as f32;
    sum.iter_mut().for_each(|v| *v *= share);
}

/// Scales a decoder's matrix for the skip. The mean of the map in front of the enlargement is in
/// `sum`.
fn decoder_gate<S: Simd>(s: S, d: &DecoderPlan, b: &mut Buffers) {
    let mean = &mut b.means[d.skip];
    let enlarged = &mut b.gate[..d.up.n];
    fully_connected(
        s,
        &b.sum[..d.up.k],
        &d.up.weights,
        &d.up.bias,
        None,
        enlarged,
    );
    mean.iter_mut()
        .zip(&*enlarged)
        .for_each(|(mean, up)| *mean = *mean * d.skip_factor + up);
    gate(s, &d.gate, mean, &mut b.hidden, &mut b.gate);
    b.scaled.set_scaled(s, &d.mix, &b.gate);
}
