# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
# What can one do here? A thin front: each target is one command, which can also be called by itself.

PREFIX ?= /usr/local
MESON_ARGS ?=
SECONDS ?= 3600

.PHONY: help deps build demo demo-afxdp test soak conformance sweep matrix bench install clean

help:
	@echo 'make deps     install packages, fetch DPDK driver headers, prepare the emulated machine'
	@echo 'make build    build everything into build/'
	@echo 'make demo     l2fwd forwards between two assigned NICs, in the emulated machine'
	@echo 'make demo-afxdp  l2fwd forwards between two network namespaces of this machine, through AF_XDP'
	@echo 'make test     all tests: this host, sanitizers, the emulated machine'
	@echo 'make soak     l2fwd forwards for $(SECONDS) seconds and starts 100 times: is all as before?'
	@echo 'make conformance  facts by kernel by IOMMU, on the model and in every machine that can be had'
	@echo 'make sweep    fail every call in turn, plain and under sanitizers'
	@echo 'make matrix   the host tests with the DPDKs and compilers of newer Debians, in chroots'
	@echo 'make bench    all benchmarks, on this host: table of targets, build/bench.json, build/plots'
	@echo 'make install  install into PREFIX=$(PREFIX), below DESTDIR if that is set'
	@echo 'make clean    remove the build folders'

deps:
	@config/deps.sh

build/build.ninja:
	meson setup --prefix=$(abspath $(PREFIX)) $(MESON_ARGS) build

build: build/build.ninja
	ninja -C build

demo: deps
	@$(MAKE) --no-print-directory build
	@config/demo/run build

demo-afxdp:
	@config/deps.sh packages headers
	@$(MAKE) --no-print-directory build
	@config/demo/afxdp build

test: deps
	@config/test

soak: deps
	@$(MAKE) --no-print-directory build
	@config/soak/run --seconds $(SECONDS) build

conformance: deps
	@$(MAKE) --no-print-directory build
	@config/conformance build

sweep: deps
	@config/sweep

matrix: deps
	@config/matrix

bench: build
	@config/bench build

install: build
	meson configure build --prefix=$(abspath $(PREFIX))
	meson install -C build

clean:
	rm -rf build build-asan build-clang build-tsan build-fuzz build-arm64
