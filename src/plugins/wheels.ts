/**
 * The wheels of the Python package index that hold PJRT plugins and what they need, pinned: nothing else is fetched, nothing else unpacked.
 * Versions are what `pip install "jax[cuda12]==0.11.2"` may choose (requirements of jax-cuda12-plugin and jax-cuda13-plugin, extra with-cuda).
 */

export interface Wheel {
  readonly package: string;
  readonly version: string;
  readonly file: string;
  /** Of the file, in bytes. */
  readonly size: number;
  readonly sha256: string;
  /** As its metadata declare it (SPDX). */
  readonly licence: string;
}

/** What `clip-ts engine install` takes. */
export const PLUGIN_NAMES = ["cpu", "cuda12", "cuda13"] as const;
export type PluginName = (typeof PLUGIN_NAMES)[number];

export interface PluginRelease {
  readonly name: PluginName;
  /** Of the plugin's own wheel. */
  readonly version: string;
  readonly wheels: readonly Wheel[];
  /** Bytes on disk when unpacked, about. */
  readonly unpacked: number;
}

/** `process.platform-process.arch` */
type Platform = string;

type Row = readonly [name: string, version: string, tag: string, size: number, sha256: string];

const NVIDIA = "LicenseRef-NVIDIA-Proprietary";
const APACHE = "Apache-2.0";

/** The first row is the plugin, under the Apache licence; the others are NVIDIA's libraries. Packages that declare no licence are left out. */

// biome-ignore format: a row a wheel
const CUDA12_X64: readonly Row[] = [
  ["jax-cuda12-pjrt", "0.11.2", "manylinux_2_27_x86_64", 188_235_313, "2133b3afc63307c016ae4980f166b2b3de199759363ead74f7d550eaae953463"],
  ["nvidia-cublas-cu12", "12.9.3.13", "manylinux_2_27_x86_64", 581_217_458, "d7d51055f161b317c7105ddaae90e71eda059026074ffef93cf7cde2886bfe72"],
  ["nvidia-cuda-cupti-cu12", "12.9.79", "manylinux_2_25_x86_64", 10_814_997, "096bcf334f13e1984ba36685ad4c1d6347db214de03dbb6eebb237b41d9d934f"],
  ["nvidia-cuda-nvcc-cu12", "12.9.86", "manylinux2010_x86_64.manylinux_2_12_x86_64", 40_546_229, "5d6a0d32fdc7ea39917c20065614ae93add6f577d840233237ff08e9a38f58f0"],
  ["nvidia-cuda-runtime-cu12", "12.9.79", "manylinux2014_x86_64.manylinux_2_17_x86_64", 3_493_179, "25bba2dfb01d48a9b59ca474a1ac43c6ebf7011f1b0b8cc44f54eb6ac48a96c3"],
  ["nvidia-cudnn-cu12", "9.28.0.42", "manylinux_2_27_x86_64", 716_538_495, "9ff58b7f36dacd0a93e89f8f2957b52466889217963701daa15e577317cfa375"],
  ["nvidia-cufft-cu12", "11.4.1.4", "manylinux2014_x86_64.manylinux_2_17_x86_64", 200_877_592, "c67884f2a7d276b4b80eb56a79322a95df592ae5e765cf1243693365ccab4e28"],
  ["nvidia-cusolver-cu12", "11.7.5.82", "manylinux_2_27_x86_64", 338_117_415, "15da72d1340d29b5b3cf3fd100e3cd53421dde36002eda6ed93811af63c40d88"],
  ["nvidia-cusparse-cu12", "12.5.10.65", "manylinux2014_x86_64.manylinux_2_17_x86_64", 366_465_088, "73060ce019ac064a057267c585bf1fd5a353734151f87472ff02b2c5c9984e78"],
  ["nvidia-nccl-cu12", "2.32.3", "manylinux_2_27_x86_64", 351_526_311, "bb94b2348e4861d5e8aa00b36c3d12d9bdf9c6369b82cbb723de0b582280a21c"],
  ["nvidia-nvjitlink-cu12", "12.9.86", "manylinux2010_x86_64.manylinux_2_12_x86_64", 39_748_338, "e3f1171dbdc83c5932a45f0f4c99180a70de9bd2718c1ab77d14104f6d7147f9"],
  ["nvidia-cuda-nvrtc-cu12", "12.9.86", "manylinux2010_x86_64.manylinux_2_12_x86_64", 89_568_129, "210cf05005a447e29214e9ce50851e83fc5f4358df8b453155d5e1918094dcb4"],
  ["nvidia-nvshmem-cu12", "3.8.0", "manylinux2014_x86_64.manylinux_2_17_x86_64", 280_800_183, "b2e5760d6158aefe7bb74348d5128bb1b46a7dd1fd4b7b1e6fe55b4b07888f70"],
];

// biome-ignore format: a row a wheel
const CUDA12_ARM64: readonly Row[] = [
  ["jax-cuda12-pjrt", "0.11.2", "manylinux_2_27_aarch64", 182_867_418, "f36247d40973b20acf3c69dac7c9c720daaa4096a809b3e8fd70292be617cdeb"],
  ["nvidia-cublas-cu12", "12.9.3.13", "manylinux_2_27_aarch64", 574_997_333, "918a8781956115d34b1db49e0e7b7befba8d101661c4b560ed4d42e0e17bebc3"],
  ["nvidia-cuda-cupti-cu12", "12.9.79", "manylinux_2_25_aarch64", 10_077_166, "791853b030602c6a11d08b5578edfb957cadea06e9d3b26adbf8d036135a4afe"],
  ["nvidia-cuda-nvcc-cu12", "12.9.86", "manylinux2014_aarch64.manylinux_2_17_aarch64", 39_411_138, "44e1eca4d08926193a558d2434b1bf83d57b4d5743e0c431c0c83d51da1df62b"],
  ["nvidia-cuda-runtime-cu12", "12.9.79", "manylinux2014_aarch64.manylinux_2_17_aarch64", 3_515_012, "83469a846206f2a733db0c42e223589ab62fd2fabac4432d2f8802de4bded0a4"],
  ["nvidia-cudnn-cu12", "9.28.0.42", "manylinux_2_27_aarch64", 723_261_984, "f88db8fc1a0a5f458e19aa7b08fbe3500aeb9e2bb8dea6293ecbce170364ad72"],
  ["nvidia-cufft-cu12", "11.4.1.4", "manylinux2014_aarch64.manylinux_2_17_aarch64", 200_822_453, "1a28c9b12260a1aa7a8fd12f5ebd82d027963d635ba82ff39a1acfa7c4c0fbcf"],
  ["nvidia-cusolver-cu12", "11.7.5.82", "manylinux_2_27_aarch64", 337_869_834, "62efa83e4ace59a4c734d052bb72158e888aa7b770e1a5f601682f16fe5b4fd2"],
  ["nvidia-cusparse-cu12", "12.5.10.65", "manylinux2014_aarch64.manylinux_2_17_aarch64", 366_359_408, "221c73e7482dd93eda44e65ce567c031c07e2f93f6fa0ecd3ba876a195023e83"],
  ["nvidia-nccl-cu12", "2.32.3", "manylinux_2_27_aarch64", 351_519_937, "061af42ae1044816820e16b872075e243d1ac0656f51860fbc8e106c257aa83a"],
  ["nvidia-nvjitlink-cu12", "12.9.86", "manylinux2014_aarch64.manylinux_2_17_aarch64", 39_514_880, "994a05ef08ef4b0b299829cde613a424382aff7efb08a7172c1fa616cc3af2ca"],
  ["nvidia-cuda-nvrtc-cu12", "12.9.86", "manylinux2014_aarch64.manylinux_2_17_aarch64", 44_528_905, "096d4de6bda726415dfaf3198d4f5c522b8e70139c97feef5cd2ca6d4cd9cead"],
  ["nvidia-nvshmem-cu12", "3.8.0", "manylinux2014_aarch64.manylinux_2_17_aarch64", 280_599_580, "313ba41c8aacf03f9524ca83ddb2c62e7b3d82f71af815a35e3739f3d64452b2"],
];

// biome-ignore format: a row a wheel
const CUDA13_X64: readonly Row[] = [
  ["jax-cuda13-pjrt", "0.11.2", "manylinux_2_27_x86_64", 134_162_640, "e5ff589d43064913bb74027682d89639c7ea48f9f81c2bae6fc75117e913f93e"],
  ["nvidia-cublas", "13.10.0.20", "manylinux1_x86_64.manylinux_2_5_x86_64", 444_289_903, "dcc6d63884c53d07e267ce7e6feac17b2538cebaafec5db865736c3e28e4dc84"],
  ["nvidia-cuda-cupti", "13.5.25", "manylinux_2_25_x86_64", 12_592_974, "9dcca41c12a734192b14e7128ae116bc9ce1b9da686e2ebf48ae7a4415f76650"],
  ["nvidia-cuda-nvcc", "13.5.37", "manylinux2014_x86_64.manylinux_2_17_x86_64", 47_028_279, "f5c4f7ead5d964fb4af42bbf1e6d3ec3c1e6e9d83b53749f691d387e7fcaa3a7"],
  ["nvidia-cuda-runtime", "13.5.37", "manylinux2014_x86_64.manylinux_2_17_x86_64", 2_504_024, "df2b79a8852f10d1fef8c848489c49eebb5754051bf870202a862831412b179d"],
  ["nvidia-cudnn-cu13", "9.28.1.4", "manylinux_2_27_x86_64", 516_817_937, "a54f205b1db1f2895d99f398754db1369816f0569dd459731f925635cf7b65ec"],
  ["nvidia-cufft", "12.5.0.14", "manylinux2014_x86_64.manylinux_2_17_x86_64", 165_072_555, "b8be26837a5abad2b5b74f3e92dd29f622a42934b355be0961a48712cbba23ad"],
  ["nvidia-cusolver", "12.4.1.2", "manylinux_2_27_x86_64", 260_003_940, "b3b8e02fd2f2df869369af075dc3a179d43f6f7b85e94632a7dce556697be044"],
  ["nvidia-cusparse", "12.9.4.2", "manylinux2014_x86_64.manylinux_2_17_x86_64", 230_422_857, "072667e58c851a318738f5527a12eb225cbf058803f2ea451c722d8cf8edddec"],
  ["nvidia-nccl-cu13", "2.32.3", "manylinux_2_27_x86_64", 305_100_071, "1459723080ac889d73a26edfa3e04383a7928ab31ac8f0ec43b3ea9548b04ff3"],
  ["nvidia-nvjitlink", "13.5.37", "manylinux2010_x86_64.manylinux_2_12_x86_64", 46_642_491, "280d7cb9649704145f074b8dbde500de04ce02d0872e066e20a83c17bcaa93eb"],
  ["nvidia-cuda-nvrtc", "13.5.37", "manylinux2010_x86_64.manylinux_2_12_x86_64", 58_185_930, "86b4d68058807988b7d9af5b44917a0601e9c337f35ccd657bfb3c759ff8d8bc"],
  ["nvidia-nvshmem-cu13", "3.8.0", "manylinux2014_x86_64.manylinux_2_17_x86_64", 182_092_449, "81a4d1f666543e6d34df6d2ff940c7da1435e34e186aab6f3c2b48861b64ef38"],
  ["nvidia-nvvm", "13.5.37", "manylinux2010_x86_64.manylinux_2_12_x86_64", 75_141_406, "c41bfa362e407405163f103c2229f0765f8cc2ed7d148b754dc77f228bf7e070"],
];

// biome-ignore format: a row a wheel
const CUDA13_ARM64: readonly Row[] = [
  ["jax-cuda13-pjrt", "0.11.2", "manylinux_2_27_aarch64", 128_788_047, "63b55e50e5c2583a25e196ba06b034b63d2b2d8ad4c2f17935652c8d3ad2dd2d"],
  ["nvidia-cublas", "13.10.0.20", "manylinux2014_aarch64.manylinux_2_17_aarch64", 560_089_875, "c5f3418c0a845232a8cabc58f6fa52cfae7d8bd3680d94c3907aca710fd48d70"],
  ["nvidia-cuda-cupti", "13.5.25", "manylinux_2_25_aarch64", 12_236_153, "d7e4d908315461b6ecbdadfd3c403cc796ed218b293ad117568c947e811cff28"],
  ["nvidia-cuda-nvcc", "13.5.37", "manylinux2014_aarch64.manylinux_2_17_aarch64", 40_745_418, "588eda18eb5076ae859fe272844b526459228af22df0b117f54eec3aa82bc9c8"],
  ["nvidia-cuda-runtime", "13.5.37", "manylinux2014_aarch64.manylinux_2_17_aarch64", 2_520_010, "de2dc5a7367974228b0a69588a9acc9340d3768bef1bf38bf0801eb08497cd2d"],
  ["nvidia-cudnn-cu13", "9.28.1.4", "manylinux_2_27_aarch64", 597_008_823, "759b6a4919951ed8ec603dec97b96f6a6396c8269b95b3d345526e2471fb433d"],
  ["nvidia-cufft", "12.5.0.14", "manylinux2014_aarch64.manylinux_2_17_aarch64", 165_074_034, "091cde103312d6e09366122fe3f67092dcfd94cc9785029d695d6bcffaa76fdf"],
  ["nvidia-cusolver", "12.4.1.2", "manylinux_2_27_aarch64", 304_822_178, "1f54c8e0d5b1ebd183b4c5a79f0709fa90241e8254da381ca5b969ee97c8de32"],
  ["nvidia-cusparse", "12.9.4.2", "manylinux2014_aarch64.manylinux_2_17_aarch64", 230_296_529, "e2ce97f185c9c4b285e4a8fbf02cb96dd1b8dd66736ebe2f0a8da5f6012a4fb7"],
  ["nvidia-nccl-cu13", "2.32.3", "manylinux_2_27_aarch64", 305_107_282, "a5bee92b2f4af218c109f8d221c3c9adcc752b94ae0ffcb0ed5abf9341a7724c"],
  ["nvidia-nvjitlink", "13.5.37", "manylinux2014_aarch64.manylinux_2_17_aarch64", 45_253_761, "893f6f9a55b2720ed94913b5ba3332e972da8c78dfa2863d0244403dbd528ffc"],
  ["nvidia-cuda-nvrtc", "13.5.37", "manylinux2014_aarch64.manylinux_2_17_aarch64", 56_419_462, "36e4fa2a8ada293f5693d308e531c196ab6f91cf7a0ff479bf96a537d43a6096"],
  ["nvidia-nvshmem-cu13", "3.8.0", "manylinux2014_aarch64.manylinux_2_17_aarch64", 181_881_399, "8120175024f52a64323cfc5d645e95ac7345f1ee243a998d140ce19163285294"],
  ["nvidia-nvvm", "13.5.37", "manylinux2014_aarch64.manylinux_2_17_aarch64", 71_213_582, "b659bd3115b7ac7ec8931e67d0e2c0dd09cd35b08a6a7372df6f8f22c67da80a"],
];

// biome-ignore format: a row a wheel
const CPU_X64: readonly Row[] = [
  ["lammps-jax-pjrt-cpu", "0.11.2", "manylinux_2_27_x86_64", 62_711_338, "1319390d948b39f69f7dade496b7c385149d9ca6097a6b62114da113216d9ad1"],
];

const GIGABYTE = 1e9;
const ROWS: Readonly<
  Record<PluginName, Readonly<Record<Platform, readonly [rows: readonly Row[], unpacked: number]>>>
> = {
  cpu: { "linux-x64": [CPU_X64, 0.202 * GIGABYTE] },
  cuda12: { "linux-x64": [CUDA12_X64, 5.18 * GIGABYTE], "linux-arm64": [CUDA12_ARM64, 5.2 * GIGABYTE] },
  cuda13: { "linux-x64": [CUDA13_X64, 4.03 * GIGABYTE], "linux-arm64": [CUDA13_ARM64, 4.2 * GIGABYTE] },
};

/** The release of a plugin for a platform (`linux-x64`), or undefined if there is none. */
export function pluginRelease(
  name: PluginName,
  platform: Platform = `${process.platform}-${process.arch}`,
): PluginRelease | undefined {
  const [rows, unpacked] = ROWS[name][platform] ?? [];
  const [plugin] = rows ?? [];
  if (!rows || !plugin || unpacked === undefined) return undefined;
  const wheels = rows.map(([name, version, tag, size, sha256], i) => ({
    ...{ package: name, version, size, sha256, licence: i === 0 ? APACHE : NVIDIA },
    file: `${name.replaceAll("-", "_")}-${version}-py3-none-${tag}.whl`,
  }));
  return { name, version: plugin[1], wheels, unpacked };
}
