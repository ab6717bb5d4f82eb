// SPDX-License-Identifier: MPL-2.0
//! PocketSphinx's C library, loaded when it is first asked for.
//!
//! Nothing is linked and no header is needed: the library is opened by its
//! soname, so the service builds and starts on a machine without it and can
//! say what is missing. The same table of functions serves the 5prealpha
//! release (`libpocketsphinx.so.3`, Debian 12 and 13, Ubuntu) and release 5
//! (`libpocketsphinx.so.5`).
//!
//! This is the only module of the project with `unsafe`; outside it there is
//! only the safe [`Decoder`]. It must never hand out a pointer, nor call into
//! the library for one decoder from two threads at once.
//!
//! Facts: `pocketsphinx.h`, `cmd_ln.h`, `err.h` and `logmath.h` of the
//! releases named above.
#![allow(unsafe_code)]

use std::error::Error;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::{Mutex, OnceLock, PoisonError};

use libloading::Library;

/// Sonames to try, the measured release first.
const SONAMES: [&str; 4] = [
    "libpocketsphinx.so.3",
    "libpocketsphinx.so.5",
    "libpocketsphinx.so",
    "libpocketsphinx.dylib",
];

/// Decoder frames per second (`-frate`, never changed here).
pub(super) const FRAMES_PER_SECOND: u32 = 100;

/// Why the library or a decoder of it cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum FfiError {
    /// No library by any of its names.
    #[error("{0}")]
    Library(String),
    /// The library refused to open a decoder; it does not say why.
    #[error(
        "the library refused the model (acoustic model {acoustic}, language model {lm}, dictionary {dict})"
    )]
    Open {
        /// Folder of the acoustic model.
        acoustic: String,
        /// Language model file.
        lm: String,
        /// Pronunciation dictionary.
        dict: String,
    },
    /// An argument holds a NUL character.
    #[error("{0:?} holds a NUL character")]
    Nul(String),
    /// A call that must not fail did.
    #[error("{call} returned {code}")]
    Call {
        /// The C function.
        call: &'static str,
        /// What it returned.
        code: c_int,
    },
}

/// How a decoder will be used for its whole life.
///
/// One streaming utterance switches the library's cepstral mean
/// normalisation to its live form for ever; a decoder that is only given
/// whole utterances keeps no history at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Audio comes in pieces, first search pass only: quick guesses.
    Streaming,
    /// Each utterance comes in one piece, all search passes.
    Whole,
}

/// A word or filler of the best hypothesis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Segment {
    /// As in the dictionary: with `(2)` on alternative pronunciations, and
    /// with fillers such as `<sil>`.
    pub(super) word: String,
    /// First frame, from the start of the utterance.
    pub(super) first_frame: u32,
    /// Last frame, inclusive.
    pub(super) last_frame: u32,
    /// Posterior probability; 1.0 where the library computes none.
    pub(super) posterior: f64,
}

type Ps = *mut c_void;
type Config = *mut c_void;
type Seg = *mut c_void;

/// The functions in use. The pointers stay valid as long as `_library` is
/// loaded, and the one table there is lives in a static: for ever.
struct Api {
    args: unsafe extern "C" fn() -> *const c_void,
    config_parse: unsafe extern "C" fn(Config, *const c_void, i32, *mut *mut c_char, i32) -> Config,
    config_free: unsafe extern "C" fn(Config) -> c_int,
    init: unsafe extern "C" fn(Config) -> Ps,
    free: unsafe extern "C" fn(Ps) -> c_int,
    start_stream: unsafe extern "C" fn(Ps) -> c_int,
    start_utt: unsafe extern "C" fn(Ps) -> c_int,
    process_raw: unsafe extern "C" fn(Ps, *const i16, usize, c_int, c_int) -> c_int,
    end_utt: unsafe extern "C" fn(Ps) -> c_int,
    get_logmath: unsafe extern "C" fn(Ps) -> *mut c_void,
    logmath_exp: unsafe extern "C" fn(*mut c_void, c_int) -> f64,
    seg_iter: unsafe extern "C" fn(Ps) -> Seg,
    seg_next: unsafe extern "C" fn(Seg) -> Seg,
    seg_word: unsafe extern "C" fn(Seg) -> *const c_char,
    seg_frames: unsafe extern "C" fn(Seg, *mut c_int, *mut c_int),
    seg_prob: unsafe extern "C" fn(Seg, *mut i32, *mut i32, *mut i32) -> i32,
    lookup_word: unsafe extern "C" fn(Ps, *const c_char) -> *mut c_char,
    ckd_free: unsafe extern "C" fn(*mut c_void),
    /// `true` if the library has a silence removal that must be switched off. Release 5
    /// has none and refuses the option.
    removes_silence: bool,
    _library: Library,
}

impl Api {
    fn load() -> Result<Self, FfiError> {
        let mut reasons = Vec::new();
        for name in SONAMES {
            // SAFETY: the initialisers of this library and of those it needs
            // (sphinxbase, blas) have no preconditions; it is never unloaded
            // once a table of it stands in `API`.
            match unsafe { Library::new(name) } {
                Ok(library) => return Self::resolve(library),
                // What the loader said is only in the source.
                Err(error) => reasons.push(match error.source() {
                    Some(source) => source.to_string(),
                    None => format!("{name}: {error}"),
                }),
            }
        }
        // The first is the name that the hint will tell the user to install.
        Err(FfiError::Library(reasons.swap_remove(0)))
    }

    fn resolve(library: Library) -> Result<Self, FfiError> {
        /// Looks `names` up in turn; the type comes from the field.
        macro_rules! symbol {
            ($($name:literal),+) => {{
                let mut found = None;
                $(if found.is_none() {
                    // SAFETY: the field's type repeats the C declaration of
                    // this function in both releases.
                    found = unsafe { library.get($name) }.ok().map(|symbol| *symbol);
                })+
                found.ok_or_else(|| FfiError::Library(format!(
                    "the library lacks {}", [$($name),+].join(" and ")
                )))?
            }};
        }
        // Release 5 renamed the configuration's destructor.
        // SAFETY: the symbol is only looked for, never called.
        let removes_silence = unsafe { library.get::<*const c_void>("ps_config_free") }.is_err();
        let api = Self {
            args: symbol!("ps_args"),
            config_parse: symbol!("cmd_ln_parse_r"),
            config_free: symbol!("cmd_ln_free_r", "ps_config_free"),
            init: symbol!("ps_init"),
            free: symbol!("ps_free"),
            start_stream: symbol!("ps_start_stream"),
            start_utt: symbol!("ps_start_utt"),
            process_raw: symbol!("ps_process_raw"),
            end_utt: symbol!("ps_end_utt"),
            get_logmath: symbol!("ps_get_logmath"),
            logmath_exp: symbol!("logmath_exp"),
            seg_iter: symbol!("ps_seg_iter"),
            seg_next: symbol!("ps_seg_next"),
            seg_word: symbol!("ps_seg_word"),
            seg_frames: symbol!("ps_seg_frames"),
            seg_prob: symbol!("ps_seg_prob"),
            lookup_word: symbol!("ps_lookup_word"),
            ckd_free: symbol!("ckd_free"),
            removes_silence,
            _library: {
                let set_logfp: unsafe extern "C" fn(*mut c_void) = symbol!("err_set_logfp");
                // SAFETY: a null FILE is documented to disable logging.
                unsafe { set_logfp(ptr::null_mut()) };
                library
            },
        };
        Ok(api)
    }

    /// Returns the table, which the first call loads.
    fn get() -> Result<&'static Self, FfiError> {
        static API: OnceLock<Api> = OnceLock::new();
        if let Some(api) = API.get() {
            return Ok(api);
        }
        let loaded = Self::load()?;
        Ok(API.get_or_init(|| loaded))
    }
}

/// Files and use of a decoder.
#[derive(Debug, Clone, Copy)]
pub(super) struct DecoderOptions<'a> {
    /// Folder of the acoustic model.
    pub(super) acoustic: &'a Path,
    /// Language model (ARPA or binary).
    pub(super) lm: &'a Path,
    /// Pronunciation dictionary.
    pub(super) dict: &'a Path,
    /// What the decoder is for.
    pub(super) mode: Mode,
}

/// A decoder with its own copy of the model (about 97 MB).
pub(super) struct Decoder {
    api: &'static Api,
    ps: NonNull<c_void>,
    mode: Mode,
}

// SAFETY: the library keeps all state of a decoder behind its pointer and
// binds none of it to a thread; `&mut self` on every call that changes it, and
// no `Sync`, keep it on one thread at a time.
unsafe impl Send for Decoder {}

impl Decoder {
    /// Opens a decoder: about 0.2 s.
    pub(super) fn open(options: DecoderOptions<'_>) -> Result<Self, FfiError> {
        /// The library does not promise that decoders may be opened at once.
        static OPENING: Mutex<()> = Mutex::new(());
        let api = Api::get()?;
        let mut args = vec![
            c"-hmm".to_owned(),
            path(options.acoustic)?,
            c"-lm".to_owned(),
            path(options.lm)?,
            c"-dict".to_owned(),
            path(options.dict)?,
            c"-wip".to_owned(),
            c"0.05".to_owned(),
            // Release 5 turned the default over; its models say it themselves.
            c"-remove_noise".to_owned(),
            c"yes".to_owned(),
        ];
        if api.removes_silence {
            args.extend([c"-remove_silence".to_owned(), c"no".to_owned()]);
        }
        if options.mode == Mode::Streaming {
            for name in [c"-fwdflat", c"-bestpath"] {
                args.extend([name.to_owned(), c"no".to_owned()]);
            }
        }
        let mut argv: Vec<*mut c_char> = args.iter().map(|arg| arg.as_ptr().cast_mut()).collect();
        let argc = i32::try_from(argv.len()).unwrap_or(0);
        let opening = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: `argv` holds `argc` NUL-terminated strings that outlive the
        // call and are only read; the library copies what it keeps.
        // `ps_init` takes its own reference to the configuration, so ours is
        // given back; it is not used after.
        let ps = unsafe {
            let config =
                (api.config_parse)(ptr::null_mut(), (api.args)(), argc, argv.as_mut_ptr(), 1);
            if config.is_null() {
                None
            } else {
                let ps = (api.init)(config);
                (api.config_free)(config);
                NonNull::new(ps)
            }
        };
        drop(opening);
        let ps = ps.ok_or_else(|| FfiError::Open {
            acoustic: options.acoustic.display().to_string(),
            lm: options.lm.display().to_string(),
            dict: options.dict.display().to_string(),
        })?;
        Ok(Self {
            api,
            ps,
            mode: options.mode,
        })
    }

    /// Starts an utterance; its frames count from zero.
    pub(super) fn start_utt(&mut self) -> Result<(), FfiError> {
        // SAFETY: `ps` is an open decoder. Without `ps_start_stream` the old
        // release counts frames from the first utterance on; its status says
        // nothing, release 5 fails where the model has no noise statistics
        // to forget.
        unsafe {
            (self.api.start_stream)(self.ps());
            check("ps_start_utt", (self.api.start_utt)(self.ps()))
        }
    }

    /// Takes samples of the utterance: all of them at once in
    /// [`Mode::Whole`], the next ones in [`Mode::Streaming`].
    pub(super) fn process(&mut self, samples: &[i16]) -> Result<(), FfiError> {
        let whole = c_int::from(self.mode == Mode::Whole);
        // SAFETY: `ps` is an open decoder; pointer and length describe one
        // slice, which is only read.
        let code =
            unsafe { (self.api.process_raw)(self.ps(), samples.as_ptr(), samples.len(), 0, whole) };
        check("ps_process_raw", code)
    }

    /// Ends the utterance; hypothesis and segments are final after it.
    pub(super) fn end_utt(&mut self) -> Result<(), FfiError> {
        // SAFETY: `ps` is an open decoder.
        check("ps_end_utt", unsafe { (self.api.end_utt)(self.ps()) })
    }

    /// Returns the best hypothesis so far, with frames and posteriors.
    pub(super) fn segments(&mut self) -> Vec<Segment> {
        let mut segments = Vec::new();
        // SAFETY: `ps` is an open decoder, and no call on it comes between
        // here and the end of the iteration.
        let mut seg = unsafe { (self.api.seg_iter)(self.ps()) };
        while !seg.is_null() {
            let (mut first, mut last): (c_int, c_int) = (0, 0);
            // SAFETY: `seg` is a live iterator: not null, and `ps_seg_next`
            // replaces it (or frees it and returns null) only at the end of
            // this block. Frames go to two live integers; the scores may be
            // null; the word lives until `ps_seg_next`.
            unsafe {
                (self.api.seg_frames)(seg, &raw mut first, &raw mut last);
                let log =
                    (self.api.seg_prob)(seg, ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
                let logmath = (self.api.get_logmath)(self.ps());
                segments.push(Segment {
                    word: owned((self.api.seg_word)(seg)),
                    first_frame: u32::try_from(first).unwrap_or(0),
                    last_frame: u32::try_from(last).unwrap_or(0),
                    posterior: (self.api.logmath_exp)(logmath, log).clamp(0.0, 1.0),
                });
                seg = (self.api.seg_next)(seg);
            }
        }
        segments
    }

    /// Returns `true` if the dictionary knows how `word` is pronounced.
    pub(super) fn lookup_word(&mut self, word: &str) -> bool {
        let Ok(word) = CString::new(word) else {
            return false;
        };
        // SAFETY: `ps` is an open decoder and `word` a NUL-terminated string;
        // the answer is null or ours to free with the library's own function.
        unsafe {
            let phones = (self.api.lookup_word)(self.ps(), word.as_ptr());
            let known = !phones.is_null();
            (self.api.ckd_free)(phones.cast());
            known
        }
    }

    fn ps(&self) -> Ps {
        self.ps.as_ptr()
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: `ps` came from `ps_init`, is owned by this value alone and
        // is not used after.
        unsafe { (self.api.free)(self.ps()) };
    }
}

fn check(call: &'static str, code: c_int) -> Result<(), FfiError> {
    if code < 0 {
        return Err(FfiError::Call { call, code });
    }
    Ok(())
}

fn path(path: &Path) -> Result<CString, FfiError> {
    CString::new(path.as_os_str().as_encoded_bytes())
        .map_err(|_| FfiError::Nul(path.display().to_string()))
}

/// Copies a C string; empty for null.
///
/// # Safety
/// `text` is null or points to a NUL-terminated string that lives during the call.
unsafe fn owned(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: by this function's contract.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}
