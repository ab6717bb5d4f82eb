# SPDX-License-Identifier: MPL-2.0
# The commands of the project; README.md says what each does.

# Where rustup puts cargo, for shells that do not know yet.
export PATH := $(PATH):$(HOME)/.cargo/bin

CARGO ?= cargo
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
PLUGIN := $(TARGET_DIR)/release/libgstsymbl.so
SERVICE := $(TARGET_DIR)/release/symbl-service
TAP := $(TARGET_DIR)/release/symbl-tap
VIEW := $(TARGET_DIR)/release/symbl-view

# What /version and build_info say; empty without git.
REVISION = $(shell git rev-parse --short=12 HEAD 2>/dev/null)

# Where GStreamer of this machine looks for plugins, moved to PREFIX.
PREFIX ?= $(shell pkg-config --variable=prefix gstreamer-1.0)
libdir = $(shell pkg-config --define-variable=prefix=$(PREFIX) --variable=libdir gstreamer-1.0)
pluginsdir = $(shell pkg-config --define-variable=prefix=$(PREFIX) --variable=pluginsdir gstreamer-1.0)

.PHONY: help build test soak soak-speech stress bench accuracy demo cluster-demo install install-plugin uninstall deb deb-check docs release release-check clean

help:
	@echo 'make demo [FILE=talk.wav] [WEB=1] [VIDEO=1]   live captions of recorded speech, or of your own file;'
	@echo '                            with WEB=1 the page with the conversation stays open at the end,'
	@echo '                            with VIDEO=1 they are burned into a picture: captions.mp4'
	@echo 'make cluster-demo           three nodes on one PostgreSQL with a replica: one node is killed in'
	@echo '                            mid-speech, and every word is counted afterwards'
	@echo 'make test                   formatting, lints and all tests'
	@echo 'make soak [MINUTES=10]      simulated faults that nobody has seen, until one finds something'
	@echo 'make soak-speech [MINUTES=120]   live speech: memory and word times stay as they are; then fifty losses'
	@echo 'make stress [MINUTES=5]     ten sinks beside hostile clients of the same service, with figures'
	@echo 'make bench [BENCH="name …"] [MINUTES=10]   what it costs, beside fakesink, the peers and the limit'
	@echo 'make accuracy [SETS="name …"] [ENGINES="name …"]   how many words the recognisers get wrong'
	@echo 'make build                  $(PLUGIN), $(SERVICE), $(TAP) and $(VIEW)'
	@echo 'make install                the plugin into GStreamer'"'"'s folder, the programs, their manual pages,'
	@echo '                            completions of shells and the unit of systemd (PREFIX, DESTDIR)'
	@echo 'make uninstall              remove what make install has installed'
	@echo 'make deb                    packages for Debian and Ubuntu, with cargo-deb'
	@echo 'make deb-check              install them into an empty root, use them and remove them (as root)'
	@echo 'make docs                   a site of the documentation, with mdBook, and its links checked'
	@echo 'make release                what is shipped, with bills of materials and checksums'
	@echo 'make release-check [CHECKS="name …"]   what takes long, before a release'
	@echo 'make clean                  remove what was built'

build:
	scripts/install-deps.sh build
	SYMBL_REVISION='$(REVISION)' $(CARGO) build --release --locked --workspace

test:
	scripts/install-deps.sh
	scripts/test.sh

soak:
	SYMBL_SOAK_MINUTES=$(or $(MINUTES),10) $(CARGO) test --release --locked --package symbl-client \
		--target-dir $(TARGET_DIR)/soak --test simulation soak::soak -- --exact --ignored --nocapture

soak-speech:
	scripts/install-deps.sh build run model demo
	SYMBL_SOAK_MINUTES=$(MINUTES) $(CARGO) test --release --locked --package symbl-service \
		--test whisper soak:: -- --ignored --nocapture
	$(CARGO) test --release --locked --test sink neural:: -- --ignored --nocapture

# The bound of all tests of this kind is three minutes, which this one sets aside.
stress:
	scripts/install-deps.sh build run
	$(CARGO) build --release --locked --package symbl-service
	SYMBL_STRESS_MINUTES=$(or $(MINUTES),5) $(CARGO) test --release --locked --test sink \
		stress::hostile -- --nocapture

bench:
	@SYMBL_BENCH_MINUTES=$(MINUTES) scripts/bench.sh $(BENCH)

accuracy:
	@SETS='$(SETS)' ENGINES='$(ENGINES)' ALL='$(ALL)' scripts/accuracy.sh

demo:
	scripts/install-deps.sh build run model $(if $(FILE),,demo) $(if $(VIDEO),video)
	$(CARGO) build --release --locked --workspace --lib --bins
	WEB='$(WEB)' VIDEO='$(VIDEO)' scripts/demo.sh $(if $(FILE),"$(FILE)")

cluster-demo:
	scripts/install-deps.sh build run cluster
	$(CARGO) build --release --locked --workspace --lib --bins
	SYMBL_SERVICE='$(SERVICE)' SYMBL_PLUGIN='$(PLUGIN)' NODE_OPTIONS='--recognizer scripted' \
		examples/cluster/run.sh examples/cluster/demo.py

# No rebuild of what is there, so that "sudo make install" needs no cargo.
$(PLUGIN) $(SERVICE) $(TAP) $(VIEW):
	$(MAKE) build

ifneq ($(shell $(CARGO) cbuild --version 2>/dev/null),)
install-plugin:
	$(CARGO) cinstall --release --locked --package gst-plugin-symbl --no-default-features --library-type cdylib \
		--prefix '$(PREFIX)' --libdir '$(libdir)' $(if $(DESTDIR),--destdir '$(DESTDIR)')
else
install-plugin: $(PLUGIN)
	install -d '$(DESTDIR)$(pluginsdir)'
	install --strip -m 755 $(PLUGIN) '$(DESTDIR)$(pluginsdir)/libgstsymbl.so'
endif

install: install-plugin $(SERVICE) $(TAP) $(VIEW)
	scripts/install-files.sh install '$(dir $(SERVICE))' '$(DESTDIR)' '$(PREFIX)'

uninstall:
	rm -f '$(DESTDIR)$(pluginsdir)/libgstsymbl.so'
	scripts/install-files.sh uninstall '$(dir $(SERVICE))' '$(DESTDIR)' '$(PREFIX)'

# Needs cargo-deb: cargo install cargo-deb.
deb: build
	scripts/deb.sh '$(TARGET_DIR)'

deb-check:
	scripts/deb-check.sh '$(TARGET_DIR)/debian'

docs:
	scripts/docs.sh '$(TARGET_DIR)'

release:
	scripts/install-deps.sh build
	scripts/release.sh '$(TARGET_DIR)'

release-check:
	scripts/release-check.sh '$(TARGET_DIR)' $(CHECKS)

clean:
	$(CARGO) clean
