"use strict";
// vae_course/distributions.py in JavaScript: the same functions of plain numbers, in nats and float64.

const sum = (values) => values.reduce((total, value) => total + value, 0);
const mean = (values) => sum(values) / values.length;
const sigmoid = (a) => 1 / (1 + Math.exp(-a));
const softplus = (a) => Math.max(a, 0) + Math.log1p(Math.exp(-Math.abs(a)));

function logSumExp(values) {
  const largest = Math.max(...values);
  return largest + Math.log(sum(values.map((value) => Math.exp(value - largest))));
}

/** log Gamma(x) for x > 0: Stirling's series from 10 on, and Gamma(x + 1) = x Gamma(x) below. */
function lgamma(x) {
  let product = 1;
  for (; x < 10; x++) product *= x;
  const r = 1 / (x * x);
  const series = (1 / 12 - r * (1 / 360 - r * (1 / 1260 - r * (1 / 1680 - r * (1 / 1188 - (r * 691) / 360360))))) / x;
  return (x - 0.5) * Math.log(x) - x + 0.5 * Math.log(2 * Math.PI) + series - Math.log(product);
}

function bernoulliLogProb(x, logits) {
  return x * logits - softplus(logits);
}

function normalLogProb(x, mean, variance) {
  return -0.5 * (Math.log(2 * Math.PI) + Math.log(variance) + (x - mean) ** 2 / variance);
}

function nbAtZero(mu, theta) {
  return -theta * Math.log1p(mu / theta);
}

function nbAboveZero(x, mu, theta) {
  const logChoose = lgamma(x + theta) - lgamma(theta) - lgamma(x + 1);
  return logChoose - (x + theta) * Math.log1p(mu / theta) + x * Math.log(mu / theta);
}

function zinbLogProb(x, mu, theta, ziLogits) {
  if (x === 0) return softplus(nbAtZero(mu, theta) - ziLogits) - softplus(-ziLogits);
  return nbAboveZero(x, mu, theta) - softplus(ziLogits);
}

function klNormal(meanQ, varQ, meanP, varP) {
  return 0.5 * (Math.log(varP / varQ) + (varQ + (meanQ - meanP) ** 2) / varP - 1);
}

function klStandardNormal(mean, variance) {
  return 0.5 * sum(mean.map((m, j) => variance[j] + m ** 2 - 1 - Math.log(variance[j])));
}

/** A source of standard normal noise that gives the same numbers for the same seed (mulberry32, Box and Muller). */
function normalNoise(seed) {
  const uniform = () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), seed | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}
