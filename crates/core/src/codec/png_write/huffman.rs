//! Prefix codes (RFC 1951, section 3.2.2).
use super::bits::Bits;

/// The longest code of a block's symbols; the format allows 15. Four of them, and the bits that
/// [`super::bits`] keeps, fit 64 bits.
pub(super) const MAX_LENGTH: usize = 12;

/// The lengths of the prefix code that writes symbols with these `counts` in the fewest bits;
/// nearly the fewest if that code has lengths above `max`. Symbols with a count of 0 get no code
/// (length 0). At least two and at most `2^max` symbols must have a count.
pub(super) fn lengths<const N: usize>(counts: &[u32; N], max: usize) -> [u8; N] {
    // Ascending by count; equal counts by symbol, so that the result is the same everywhere.
    let mut sorted = [(0u32, 0u16); N];
    let mut used = 0;
    for (symbol, &count) in counts.iter().enumerate() {
        if count > 0 {
            sorted[used] = (count, symbol as u16);
            used += 1;
        }
    }
    let sorted = &mut sorted[..used];
    sorted.sort_unstable();
    debug_assert!(used >= 2 && used <= 1 << max);

    let mut per_length = depths::<N>(sorted);
    limit(&mut per_length, max);

    let mut lengths = [0; N];
    let mut rarest_first = sorted.iter();
    for length in (1..=max).rev() {
        for &(_, symbol) in rarest_first.by_ref().take(per_length[length] as usize) {
            lengths[usize::from(symbol)] = length as u8;
        }
    }
    lengths
}

/// The number of codes of each length by Huffman's algorithm, for ascending counts. With two
/// queues, of symbols and of pairs, the lightest is always at the front of one (van Leeuwen, 1976).
fn depths<const N: usize>(sorted: &[(u32, u16)]) -> [u32; 64] {
    let pairs = sorted.len() - 1;
    let mut weights = [0u64; N];
    // The pair that a pair is in. Later pairs hold earlier ones.
    let mut parents = [0u16; N];
    let mut symbols_in = [0u8; N];
    let mut symbol = 0;
    let mut pair = 0;
    for new in 0..pairs {
        for _ in 0..2 {
            if symbol < sorted.len()
                && (pair == new || u64::from(sorted[symbol].0) <= weights[pair])
            {
                weights[new] += u64::from(sorted[symbol].0);
                symbols_in[new] += 1;
                symbol += 1;
            } else {
                weights[new] += weights[pair];
                parents[pair] = new as u16;
                pair += 1;
            }
        }
    }
    // The sum of 32-bit counts is below 2^41 here, which bounds the depth (by Fibonacci numbers) to
    // less than 64.
    let mut per_length = [0; 64];
    let mut depth = [0u8; N];
    for p in (0..pairs).rev() {
        if p + 1 < pairs {
            depth[p] = depth[usize::from(parents[p])] + 1;
        }
        per_length[usize::from(depth[p]) + 1] += u32::from(symbols_in[p]);
    }
    per_length
}

/// Shortens codes to `max` and lengthens others, until they are a complete prefix code again
/// (Kraft's sum is 1).
fn limit(per_length: &mut [u32; 64], max: usize) {
    let too_long: u32 = per_length[max + 1..].iter().sum();
    if too_long == 0 {
        return;
    }
    per_length[max] += too_long;
    per_length[max + 1..].fill(0);
    // In units of a code of length `max`.
    let mut sum: u32 = (1..=max)
        .map(|length| per_length[length] << (max - length))
        .sum();
    while sum > 1 << max {
        // A longest code moves beside the next shorter one, which becomes one bit longer: one unit
        // less.
        let from = (1..max)
            .rev()
            .find(|&length| per_length[length] > 0)
            .unwrap_or(1);
        per_length[max] -= 1;
        per_length[from] -= 1;
        per_length[from + 1] += 2;
        sum -= 1;
    }
}

/// The codes of `lengths`, ascending by length and then by symbol, with the first bit lowest (RFC
/// 1951, section 3.2.2).
pub(super) fn codes<const N: usize>(lengths: &[u8; N]) -> [Bits; N] {
    let mut next = [0u32; 16];
    for &length in lengths {
        next[usize::from(length)] += 1;
    }
    next[0] = 0;
    let mut code = 0;
    for count in &mut next {
        // Codes of this length begin after those that are one bit shorter.
        let of_this_length = *count;
        *count = code << 1;
        code = *count + of_this_length;
    }
    std::array::from_fn(|symbol| match lengths[symbol] {
        0 => Bits::default(),
        length => {
            let code = &mut next[usize::from(length)];
            let reversed = code.reverse_bits() >> (32 - u32::from(length));
            *code += 1;
            Bits::new(reversed.into(), length.into())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The fewest bits for `counts` with codes of any length, and the least length of the longest
    /// code.
    fn fewest(counts: &[u32]) -> (u64, usize) {
        let mut weights: Vec<(u64, usize)> = counts
            .iter()
            .filter(|&&c| c > 0)
            .map(|&c| (c.into(), 0))
            .collect();
        let mut bits = 0;
        while weights.len() > 1 {
            weights.sort_unstable_by(|a, b| b.cmp(a));
            let one = weights.pop().unwrap();
            let other = weights.pop().unwrap();
            bits += one.0 + other.0;
            weights.push((one.0 + other.0, one.1.max(other.1) + 1));
        }
        (bits, weights[0].1)
    }

    fn check(counts: &[u32; 40], max: usize) -> u64 {
        let lengths = lengths(counts, max);
        assert!(
            lengths
                .iter()
                .zip(counts)
                .all(|(&l, &c)| (l > 0) == (c > 0) && usize::from(l) <= max)
        );
        let kraft: u64 = lengths
            .iter()
            .filter(|&&l| l > 0)
            .map(|&l| 1 << (max - usize::from(l)))
            .sum();
        assert_eq!(kraft, 1 << max, "complete");
        lengths
            .iter()
            .zip(counts)
            .map(|(&l, &c)| u64::from(l) * u64::from(c))
            .sum()
    }

    proptest! {
        #[test]
        fn codes_are_complete_and_short(
            counts in proptest::array::uniform32(prop_oneof![Just(0u32), 1u32..9, 0u32..5000]),
        ) {
            let mut all = [0; 40];
            all[3..35].copy_from_slice(&counts);
            all[38..].copy_from_slice(&[1, 1]);
            let found = check(&all, 15);
            let (bits, longest) = fewest(&all);
            // Few counts need longer codes than the format allows.
            let is_close = longest > 15 && (bits..=bits + bits / 100).contains(&found);
            prop_assert!(found == bits || is_close, "{found}, {bits}, {longest}");
            check(&all, 6);
        }
    }

    #[test]
    fn the_steepest_counts_are_limited() {
        // Fibonacci numbers give the longest codes.
        let mut counts = [1u32; 40];
        for i in 2..40 {
            counts[i] = counts[i - 1] + counts[i - 2];
        }
        for max in 6..=15 {
            let found = check(&counts, max);
            let (bits, longest) = fewest(&counts);
            assert!(
                longest > max && found >= bits && (max < 12 || found < bits * 105 / 100),
                "{max}"
            );
        }
        assert_eq!(lengths(&[5, 0, 5], 7), [1, 0, 1]);
    }

    #[test]
    fn codes_are_those_of_the_specification() {
        // The example of RFC 1951, section 3.2.2.
        let codes = codes(&[3, 3, 3, 3, 3, 2, 4, 4]);
        let read = |of: Bits| (0..of.count).fold(0, |code, i| code << 1 | (of.bits >> i & 1));
        assert_eq!(
            codes.map(read),
            [0b010, 0b011, 0b100, 0b101, 0b110, 0b00, 0b1110, 0b1111]
        );
    }
}
