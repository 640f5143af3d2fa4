# Everything that can be done here. `make` prints the list.
.DEFAULT_GOAL := help
.PHONY: help setup demo run test bench sample-ini models-68 release clean

CARGO ?= cargo
# More arguments for `make demo` and `make run`: make run ARGS="--config my.ini"
ARGS ?=
# Where dlib was built by `make setup`, the compiler is told so.
WITH_DLIB := . target/setup/env &&

help: ## print this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 14

setup: ## get what is missing: system packages, dlib, models, test pictures, the demo's gallery
	@tools/setup

demo: release ## people with their names in a browser, without a camera: moving pictures
	@echo 'The page stands at the address that follows; ctrl-c ends it.'
	@target/release/namecam demo --config demo/namecam.ini $(ARGS)

run: release ## run with ./namecam.ini, or ARGS="--config FILE"
	@target/release/namecam run $(ARGS)

test: setup ## format, lints, and every test
	$(WITH_DLIB) $(CARGO) fmt --check
	$(WITH_DLIB) $(CARGO) clippy --locked --all-targets -- -D warnings
	$(WITH_DLIB) $(CARGO) test --locked

bench: release ## measure: the scan of descriptors, looks, CPU, memory; ARGS="--peer COMMAND ..." beside another program
	$(WITH_DLIB) $(CARGO) bench --locked --bench '*'
	python3 tools/bench.py target/release/namecam $(ARGS)

sample-ini: setup ## write namecam.ini.example and the README's table again, from the program's own table
	$(WITH_DLIB) $(CARGO) run --locked --quiet -- --sample-ini >target/setup/sample.ini
	mv target/setup/sample.ini namecam.ini.example
	$(WITH_DLIB) WRITE_README=1 $(CARGO) test --locked --quiet --test house the_readme_lists_every_config_key

models-68: setup ## fetch the 68-point landmarks: not for commercial use
	@tools/setup models-68

release: setup ## build target/release/namecam
	$(WITH_DLIB) $(CARGO) build --locked --release

clean: ## remove what was built; downloads, models, pictures and target/dlib stay
	rm -rf target/debug target/release target/tmp
