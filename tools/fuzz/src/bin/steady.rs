//! The driver without a C++ compiler: seeded mutation of the seeds, no coverage. Also lists the targets,
//! writes their seeds, and repeats an input.
//!
//! `steady list` · `steady seeds TARGET FOLDER` · `steady run TARGET SECONDS [SEED]` · `steady repeat TARGET FILE…`

use lockstep_fuzz::bytes::Random;
use lockstep_fuzz::{Target, print_names, target, write_seeds};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

const INPUT_LENGTH_MAX: usize = 4096;
/// What is being run: shown if it panics.
static INPUT: Mutex<Vec<u8>> = Mutex::new(Vec::new());

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["list"] => print_names(),
        ["seeds", name, folder] => write_seeds(named(name), Path::new(folder)),
        ["run", name, seconds] => drive(named(name), number(seconds), 1),
        ["run", name, seconds, seed] => drive(named(name), number(seconds), number(seed)),
        ["repeat", name, ref files @ ..] => {
            for file in files {
                (named(name).run)(&std::fs::read(file).expect("a readable file"));
            }
        }
        _ => {
            eprintln!(
                "steady list | seeds TARGET FOLDER | run TARGET SECONDS [SEED] | repeat TARGET FILE…"
            );
            std::process::exit(2);
        }
    }
}

fn named(name: &str) -> &'static Target {
    target(name).unwrap_or_else(|| {
        eprintln!("{name}: no such target; `steady list` names them");
        std::process::exit(2);
    })
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| {
        eprintln!("{text}: not a number");
        std::process::exit(2);
    })
}

fn drive(target: &Target, seconds: u64, seed: u64) {
    let shown = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        shown(panic);
        let input = INPUT.lock().map(|input| input.clone()).unwrap_or_default();
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        eprintln!("input: {hex}");
    }));
    let (began, mut random, mut count) = (Instant::now(), Random(seed), 0u64);
    let mut corpus = (target.seeds)();
    for input in corpus.clone() {
        attempt(target, input);
    }
    while began.elapsed() < Duration::from_secs(seconds) {
        for _ in 0..64 {
            let input = mutated(&mut random, &corpus);
            // Without coverage there is no telling what is worth keeping: a few, replacing others.
            if random.below(1000) == 0 {
                let at = random.below(corpus.len() * 4).max((target.seeds)().len());
                if at < corpus.len() {
                    corpus[at] = input.clone();
                } else if corpus.len() < 512 {
                    corpus.push(input.clone());
                }
            }
            attempt(target, input);
            count += 1;
        }
    }
    println!(
        "{}: {count} inputs in {seconds} s, seed {seed}",
        target.name
    );
}

fn attempt(target: &Target, input: Vec<u8>) {
    if let Ok(mut shown) = INPUT.lock() {
        shown.clone_from(&input);
    }
    (target.run)(&input);
}

fn mutated(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut input = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(6) {
        let at = random.below(input.len());
        match random.below(8) {
            0 => input.truncate(at),
            1 => input.extend((0..random.below(32)).map(|_| random.0 as u8)),
            2 => {
                let other = &corpus[random.below(corpus.len())];
                input.extend_from_slice(&other[random.below(other.len())..]);
            }
            3 if !input.is_empty() => drop(input.remove(at)),
            4 => input.insert(at, random.draw() as u8),
            5 if !input.is_empty() => input[at] ^= 1 << random.below(8),
            6 if !input.is_empty() => {
                input[at] = [0, 1, 2, 7, 8, 127, 128, 254, 255][random.below(9)];
            }
            _ if !input.is_empty() => input[at] = random.draw() as u8,
            _ => {}
        }
    }
    input.truncate(INPUT_LENGTH_MAX);
    input
}
