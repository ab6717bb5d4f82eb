// SPDX-License-Identifier: MPL-2.0

//! Prints what the recogniser finds in stretches of WAV files, one of them a line on stdin.
//! `transcribe` is the example to read; this one is for measurements.

use std::io::Read;
use symbl_whisper::*;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let level = match a.get(2).map(|s| s.as_str()) {
        Some("plain") => Level::Plain,
        Some("avx2") => Level::Avx2,
        _ => Level::Avx512,
    };
    let precision = if a.get(3).map(|s| s.as_str()) == Some("float") {
        Precision::Float
    } else {
        Precision::Int8
    };
    let t = std::time::Instant::now();
    let m = Model::load(a[1].as_ref(), LoadOptions { precision, level }).unwrap();
    eprintln!("load {:?}", t.elapsed());
    let (request, _) = m.request("en", &[]).unwrap();
    let mut s = String::new();
    std::io::stdin().read_to_string(&mut s).unwrap();
    for l in s.lines() {
        let p: Vec<&str> = l.split('\t').collect();
        let mut r = hound::WavReader::open(p[0]).unwrap();
        let x: Vec<f32> = r
            .samples::<i16>()
            .map(|x| x.unwrap() as f32 / 32768.)
            .collect();
        let (st, ln) = (
            p[1].parse::<usize>().unwrap(),
            p[2].parse::<usize>().unwrap(),
        );
        let x = &x[st..(st + ln).min(x.len())];
        let voiced = vec![true; x.len() / 256];
        let t = m.transcribe(x, &voiced, &request, &Draft::default());
        let text: Vec<_> = t.words.iter().map(|w| w.text.clone()).collect();
        println!(
            "[{:?}, {}, {:.3}, {:.3}, {:?}, {:?}]",
            p[0],
            st,
            t.mean_log_probability,
            t.no_speech,
            text.join(" "),
            format!("{:?}", t.end)
        );
        if a.len() > 4 {
            let mut k = Looks::default();
            let mut n = 8000;
            while n < x.len() {
                let l = k.look(&m, &x[..n], &voiced[..n / 256], &request);
                let text: Vec<_> = l.words.iter().map(|w| w.text.clone()).collect();
                println!(
                    "   {:.1} {} {}",
                    n as f32 / 16000.,
                    l.stable,
                    text.join(" ")
                );
                n += 8000;
            }
            let d = k.draft();
            let u = m.transcribe(x, &voiced, &request, &d);
            assert_eq!(t, u);
            for w in &t.words {
                println!(
                    "      {:.2} {:.2} {:.2} {}",
                    w.start as f32 / 16000.,
                    w.end as f32 / 16000.,
                    w.confidence,
                    w.text
                );
            }
        }
    }
}
