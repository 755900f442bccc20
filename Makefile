# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The Gantry authors
#
# Entry points for users and CI. Each target runs one program of devtools/, which can also be called
# by itself. Targets that need packages, headers or kernels run devtools/deps.sh first.

PREFIX ?= /usr/local
MESON_ARGS ?=
SECONDS ?= 3600

.PHONY: help deps build demo demo-afxdp test test-all test-rest test-clients test-documents soak conformance
.PHONY: sweep matrix dts packages bench install check-style tidy abi coverage test-host test-sanitizers clean

help:
	@echo 'make deps     install packages, fetch DPDK driver headers and kernels of the emulated machine'
	@echo 'make build    build everything into build/'
	@echo 'make demo     l2fwd forwards between two assigned NICs, in the emulated machine'
	@echo 'make demo-afxdp  l2fwd forwards between two network namespaces of this machine, through AF_XDP'
	@echo 'make test     the quick set, 12 minutes: this host, sanitizers, the emulated machine with each backend'
	@echo 'make test-all every test: also whole sweeps, clang, fuzzing, arm64, all profiles, a short soak'
	@echo 'make test-clients  unmodified programs under gantry-run, on more kernels and with more options: 40 minutes'
	@echo 'make test-documents  commands of the documents that take minutes, and a newcomer in a bare chroot: more than an hour'
	@echo 'make soak     l2fwd forwards for $(SECONDS) seconds and starts 100 times: is all as before?'
	@echo 'make conformance  facts by kernel by IOMMU, on the mock and in every machine that can be had'
	@echo 'make sweep    fail every call in turn, plain and under sanitizers'
	@echo 'make matrix   tests with the DPDKs and compilers of newer Debians, in chroots'
	@echo 'make dts      the test suite of DPDK on its driver for the 82574L and on ours: half an hour'
	@echo 'make packages the Debian packages of Debian 12 and 13, into build-packages/: built, checked, installed, purged'
	@echo 'make bench    all benchmarks, on this host: table of targets, build/bench.json, build/plots'
	@echo 'make check-style  format, spelling, names, commit messages; clang-tidy on changed files'
	@echo 'make tidy     clang-tidy on every C file'
	@echo 'make abi      the ABI of the libraries, compared with the last tag'
	@echo 'make coverage lines and branches that the tests of the host reach, by folder'
	@echo 'make reference  the public headers as web pages, with doxygen: build/doc/reference'
	@echo 'make install  install into PREFIX=$(PREFIX), below DESTDIR if that is set'
	@echo 'make clean    remove the build folders'

deps:
	@devtools/deps.sh

build/build.ninja:
	meson setup --prefix=$(abspath $(PREFIX)) $(MESON_ARGS) build

build: build/build.ninja
	ninja -C build

demo:
	@devtools/deps.sh packages headers machine
	@$(MAKE) --no-print-directory build
	@devtools/demo/run build

demo-afxdp:
	@devtools/deps.sh packages headers
	@$(MAKE) --no-print-directory build
	@devtools/demo/afxdp build

test: deps
	@devtools/test quick

test-all: deps
	@devtools/test all

# test-all runs test, test-rest and test-clients. test-clients alone takes 40 minutes.
test-rest: deps
	@devtools/test rest

test-clients: deps
	@devtools/test clients

test-documents: deps
	@devtools/test documents

# Parts of it for a machine that has no emulated one, such as a container; installs nothing.
test-host:
	@devtools/test host

test-sanitizers:
	@devtools/test sanitizers

check-style:
	@devtools/check-style

tidy: build
	@devtools/check-style --all --only tidy

abi: build
	@devtools/check-abi

coverage: deps
	@devtools/coverage --doc

soak: deps
	@$(MAKE) --no-print-directory build
	@devtools/soak/run --seconds $(SECONDS) build

conformance: deps
	@$(MAKE) --no-print-directory build
	@devtools/conformance build

sweep: deps
	@devtools/sweep

matrix: deps
	@devtools/matrix

dts: deps
	@devtools/dts/run

# Builds in chroots only, so it needs no more of set-up than the packages.
packages:
	@devtools/deps.sh packages
	@devtools/packages

bench: build
	@devtools/bench build

.PHONY: reference
reference: build/build.ninja
	ninja -C build doxygen

install: build
	meson configure build --prefix=$(abspath $(PREFIX))
	meson install -C build

clean:
	rm -rf build build-packages build-asan build-clang build-tsan build-fuzz build-arm64 build-coverage
