import { mount } from 'svelte';
import App from './App.svelte';
import './lab/offline';

const target = document.getElementById('app');
if (target) mount(App, { target });
